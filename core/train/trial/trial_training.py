"""One trial: its state, and its training as a generator of requests to the pack."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from core.contract.events import event_types as e
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign, Edit
from core.train.adapters import adapter_init, optimizers, peft_config
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Layout, Place
from core.train.data import row_truncation
from core.train.data.batches.batch_schedule import BatchSchedule
from core.train.data.dataset import Data
from core.train.evaluation.trial_scores import Scorecard
from core.train.introspection.trial_introspection import InspectionSchedule
from core.train.reporter import Reporter
from core.train.scoring.scoring_queue import Snapshot
from core.train.step.compute_requests import Request, TimedResult
from core.train.training_position import Position
from core.train.trial import live_edits
from core.train.trial.checkpoint_record import Partial
from core.train.trial.source_row_counts import SourceBalance
from core.train.trial.training_step_generator import TrainingReports, TrainingStep
from core.train.trial.validation import Validation

Submit = Callable[["Trial", bool], None]  # queues a snapshot for scoring; True for the last


class Trial:
    """Requests one computation at a time; between two requests it can be checkpointed, moved or ended."""

    def __init__(
        self,
        spec: StudySpec,
        base: Base,
        places: list[Place],
        data: Data,
        assign: Assign,
        reporter: Reporter,
        submit: Submit | None = None,
        inspect: Callable[[Trial], None] | None = None,
    ) -> None:
        """Raises InfeasibleError if the base cannot have the trial's adapter."""
        self.number, self.knobs, self.folder = assign.trial, dict(assign.knobs), Path(assign.folder)
        self.base, self.reporter = base, reporter.of(assign.trial)
        self._spec, self._submit, self._inspect = spec, submit, inspect
        self.card = Scorecard(spec, self.reporter, self.folder)
        self.inspections = InspectionSchedule(self.folder, self.reporter.warn)
        self.validation = Validation(spec, data, base.positions, self.card)
        self._reports = TrainingReports(self.card, base.device, spec.resources.report_every_s)
        rows = row_truncation.cut_rows(spec, base, data, self.knobs, self.reporter.note)
        self.course = BatchSchedule(rows, self.knobs, mixture=data.mixture)
        self.balance = SourceBalance(data.mixture)
        self.batch, self.total_steps = self.course.batch, self.course.total_steps
        names = peft_config.find_targets(places, self.knobs["target_modules"])
        layers = peft_config.select_layers(places, names)
        self.config = peft_config.make_config(
            base, self.knobs, peft_config.list_exact_names(base.model, layers, names)
        )
        self.factors = adapter_init.create_factors(spec, base, self.knobs, Layout(layers))
        self.optimizer = optimizers.make(self.factors, self.knobs)
        self.step, self.elapsed_s = 0, 0.0
        self.partial, self.done = Partial(), 0  # requests done so far
        self.passed_step = -1  # last step after which training went on, evaluated if due
        self.submitted_step = -1  # last step whose snapshot was queued for scoring
        self.best_at: Position | None = None  # position after its best evaluation
        self.list_pending: Callable[[], Sequence[Snapshot]] = tuple  # its unscored snapshots
        self.unscored: list[Snapshot] = []  # unscored snapshots from its checkpoint
        self._edits: list[Edit] = []  # to be applied before the next step
        self.edited = False  # since this was last reset

    @property
    def trainable(self) -> int:
        """Parameters of the adapter."""
        result: int = self.factors.matrix.numel()
        return result

    @property
    def latest(self) -> dict[str, float]:
        """Its newest metrics by name."""
        return self.card.latest

    @property
    def position(self) -> Position:
        """How far it is; greater is further."""
        return Position(self.step, self.done)

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return int(self.knobs.get(live_edits.EVERY) or self._spec.evaluate.every)

    def edit(self, edit: Edit) -> None:
        """Queue a change of knobs, made before the next step that has not started: the pack already has the
        request of the current one."""
        self._edits.append(edit)

    def is_trained(self, why: str) -> bool:
        """Whether all steps are done, so that a prune for this reason comes too late. Finished training is
        never reported as pruned: the last evaluation goes on and the trial is complete."""
        late = self.step >= self.total_steps and not self._edits
        if late:
            text = f"all {self.step} steps are done: it will be complete, not pruned"
            self.reporter.note(f"{text} ({why})" if why else text)
        return late

    def to(self, device: torch.device) -> None:
        """Move all its tensors to ``device``."""
        self.factors.to(device)
        optimizers.move(self.optimizer, device)

    def run(self) -> Generator[Request, TimedResult, str]:
        """Train and evaluate; returns why training ended before its last step, else ""."""
        work = self._work()
        try:
            request = next(work)
            while True:
                result = yield request
                self.done += 1
                request = work.send(result)
        except StopIteration as end:
            return str(end.value)

    def _work(self) -> Generator[Request, TimedResult, str]:
        due = self.step and self.step % self.every == 0 and self.passed_step != self.step
        if due or self.partial.judged:
            yield from self._evaluate_and_submit()  # it was interrupted before or during the evaluation
        if not (self.step or self.partial.micro_batches):
            yield from self.validation.measure_start(self.factors)
        while True:
            if not self._is_continued():
                yield from self._evaluate_and_submit()
                if not self._is_continued():  # an edit may have added steps meanwhile
                    return self.validation.why
            yield from self._train_step()
            if self.step % self.every == 0 or self.step == self.total_steps:
                yield from self._evaluate_and_submit()

    def _is_continued(self) -> bool:
        """Apply queued edits between two steps. Returns whether there is another step."""
        self.passed_step = self.step
        requests, self._edits = self._edits, []
        for edit in requests:
            if live_edits.list_fixed_names(edit.changes):
                names = ", ".join(live_edits.list_fixed_names(edit.changes))
                self.reporter.warn(f"{names} cannot change while it runs")
            changes = live_edits.apply(self, edit.changes)
            total = self.total_steps if "steps" in changes else 0
            self.edited = True
            self.reporter.emit(e.TrialEdited, step=self.step, changes=changes, by=edit.by, total_steps=total)
        return not self._last

    @property
    def _last(self) -> bool:
        """Whether training ends with this step."""
        return bool(self.validation.why) or self.step >= self.total_steps

    def _evaluate_and_submit(self) -> Generator[Request, TimedResult, None]:
        """Evaluate, and queue a snapshot for scoring and the trial for inspection, unless that is done
        already."""
        if self.validation.step != self.step:
            evaluation = self.validation.evaluate(self.factors, self.step, self.elapsed_s, self.partial)
            improved = yield from evaluation
            self.partial = Partial()
            if improved:
                self.best_at = self.position
        if self._submit is not None and self.submitted_step != self.step:
            self.submitted_step = self.step
            self._submit(self, self._last)
        if self._inspect is not None and self.inspections.due(self.step, self._last, self.elapsed_s):
            self._inspect(self)

    def _train_step(self) -> Generator[Request, TimedResult, None]:
        """Train one step, continuing from ``partial``."""
        micro_batches, first = self.course.micro_batches(self.step), self.course.first(self.step)
        step = TrainingStep(
            self.factors, self.knobs, self.step, self.total_steps, micro_batches, first, self.base.precision
        )
        norm = yield from step.run(self.partial)
        self.balance.add(micro_batches)
        trained, self.partial = self.partial, Partial()
        self.step += 1
        self.elapsed_s += trained.busy_s
        metrics = {
            "train/loss": trained.loss,
            "train/learning_rate": step.update.rate,
            "train/grad_norm": norm,
            "train/tokens_per_s": step.tokens / trained.busy_s if trained.busy_s else 0.0,
        }
        important = self.step in (1, self.total_steps) or self.step % self.every == 0
        metrics |= self.balance.metrics(self.course.shares) if important else {}
        self._reports.report(self.step, self.elapsed_s, metrics, important)
