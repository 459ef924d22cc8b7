"""One trial: its factors, its optimizer, and its training as a generator of requests to the pack."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch

from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.contract.wire.worker_api import Assign, Edit
from core.evaluate.statistics.early_stopping import EarlyStopping
from core.train import checkpoint_files
from core.train.adapters import adapter_init, counter_dropout, lr_schedule, optimizers, peft_config
from core.train.base.base_model import Base
from core.train.base.linear_layers import Layout, Place
from core.train.checkpoint_names import Position
from core.train.data import truncation
from core.train.data.dataset import Data, Row
from core.train.data.training_batches import BatchSchedule
from core.train.evaluation.scorecard import Diverged as Diverged
from core.train.evaluation.scorecard import Scorecard
from core.train.introspection.introspection_report import InspectionSchedule, Introspector
from core.train.reporter import Reporter
from core.train.scoring.adapter_snapshots import Snapshot, frozen_copy
from core.train.step import device_memory
from core.train.step.compute_requests import Done, Learn, Update, Want
from core.train.step.forward_pass import Item, count_targets
from core.train.trial import clone_checkpoint, live_edits, trial_progress
from core.train.trial.trial_progress import GRADIENT, Partial, PendingSnapshot, TrialProgress
from core.train.trial.validation import HeldOutRows

SCORING = "scoring."  # prefix of unscored snapshots among the optimizer's tensors in a checkpoint

Submit = Callable[["Trial", bool], None]  # queues a snapshot for scoring; True for the last
Life = Generator[Want, tuple[Done, float], str]  # sent: the result of the request, and its seconds


class Trial:
    """Yields one request at a time; between two requests it can be checkpointed, moved or ended."""

    def __init__(
        self,
        spec: Spec,
        base: Base,
        places: list[Place],
        data: Data,
        assign: Assign,
        reporter: Reporter,
        submit: Submit | None = None,
        insides: Introspector | None = None,
    ) -> None:
        """Raises InfeasibleError if the base cannot have the trial's adapter."""
        self.number, self.knobs, self.folder = assign.trial, dict(assign.knobs), Path(assign.folder)
        self._spec, self._base, self._submit = spec, base, submit
        self.reporter = reporter.of(assign.trial)
        self.card = Scorecard(spec, self.reporter, self.folder)
        self._insides, self._inspected = insides, InspectionSchedule(self.folder, self.reporter.warn)
        rows = truncation.rows(spec, base, data, int(self.knobs["sequence_length"]), self.reporter.note)
        self._held = HeldOutRows(spec, data, base.positions)
        self.course = BatchSchedule(rows, self.knobs)
        self.batch, self.total_steps = self.course.batch, self.course.total_steps
        names = peft_config.targets(places, self.knobs["target_modules"])
        mine = peft_config.select_layers(places, names)
        self.config = peft_config.config(base, self.knobs, peft_config.exact_names(base.model, mine, names))
        self.factors = adapter_init.create_factors(spec, base, self.knobs, Layout(mine))
        self.optimizer = optimizers.make(self.factors, self.knobs)
        goal = spec.study.objectives[0]
        self._goal = goal.metric if goal.metric.startswith("eval/") else "eval/loss"
        direction = goal.direction if self._goal == goal.metric else "minimize"
        self._patience = EarlyStopping(spec.evaluate.patience, spec.evaluate.min_delta, direction)
        self.step, self.elapsed_s = 0, 0.0
        self._reported_at, self._evaluated_step = 0.0, -1
        self._passed_step = -1  # last step after which training went on, evaluated if due
        self._partial, self._done = Partial(), 0  # requests done so far
        self.best_at: Position | None = None  # position after its best evaluation
        self._why = ""  # why its last evaluation stopped training
        self._submitted_step = -1  # last step whose snapshot was queued for scoring
        self.pending: Callable[[], Sequence[Snapshot]] = tuple  # its unscored snapshots
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

    # -- life -------------------------------------------------------------------------------------

    def life(self) -> Life:
        """Train and evaluate; returns why training ended before its last step, else ""."""
        due = self.step and self.step % self.every == 0 and self._passed_step != self.step
        if due or self._partial.judged:
            yield from self._evaluate_and_submit()  # it was interrupted before or during the evaluation
        while True:
            if not self._continues():
                yield from self._evaluate_and_submit()
                if not self._continues():  # an edit may have added steps meanwhile
                    return self._why
            yield from self._train_step()
            if self.step % self.every == 0 or self.step == self.total_steps:
                yield from self._evaluate_and_submit()

    def _continues(self) -> bool:
        """Apply queued edits between two steps. Returns whether there is another step."""
        self._passed_step = self.step
        asked, self._edits = self._edits, []
        for edit in asked:
            if live_edits.fixed_names(edit.changes):
                names = ", ".join(live_edits.fixed_names(edit.changes))
                self.reporter.warn(f"{names} cannot change while it runs")
            changes = live_edits.apply(self, edit.changes)
            total = self.total_steps if "steps" in changes else 0
            self.edited = True
            self.reporter.emit(e.TrialEdited, step=self.step, changes=changes, by=edit.by, total_steps=total)
        return self.step < self.total_steps and not self._why

    def _evaluate_and_submit(self) -> Generator[Want, tuple[Done, float], None]:
        """Evaluate, queue a snapshot for scoring, and collect introspection data, unless that is done
        already."""
        if self._evaluated_step != self.step:
            self._why = yield from self._evaluate()
        if self._submit is not None and self._submitted_step != self.step:
            self._submitted_step = self.step
            self._submit(self, self._last)
        if self._insides is not None and self._inspected.due(self.step, self._last, self.elapsed_s):
            self._inspected.look(self._insides, self.number, self.factors, self.step)

    @property
    def _last(self) -> bool:
        """Whether training ends with this step."""
        return bool(self._why) or self.step >= self.total_steps

    def _train_step(self) -> Generator[Want, tuple[Done, float], None]:
        """Train one step, continuing from ``_partial``. It can be interrupted between any two
        micro-batches."""
        first, partial = self.course.first(self.step), self._partial
        batches = self.course.micro_batches(self.step)
        targets = sum(count_targets(rows) for rows in batches)
        update = Update(targets, self._rate(), float(self.knobs["clip_norm"]) or math.inf)
        norm = 0.0
        for index in range(partial.micro_batches, len(batches)):
            items = self._items(batches[index], first + index)
            last = index + 1 == len(batches)
            done, took_s = yield from self._ask(Learn(items, update if last else None))
            self._check_finite("the loss", done.loss)
            partial.micro_batches, norm = index + 1, done.norm
            partial.loss, partial.busy_s = partial.loss + done.loss / targets, partial.busy_s + took_s
        self._check_finite("the gradient norm", norm)
        self._partial = Partial()
        self.step += 1
        self.elapsed_s += partial.busy_s
        tokens = sum(len(row.ids) for rows in batches for row in rows)
        rate = tokens / partial.busy_s if partial.busy_s else 0.0
        self._report(partial.loss, norm, update.rate, rate)

    def _ask(self, want: Want) -> Generator[Want, tuple[Done, float], tuple[Done, float]]:
        result = yield want
        self._done += 1
        return result

    def _items(self, rows: list[Row], micro_batch: int) -> list[Item]:
        seed = self.factors.seed
        return [
            Item(self.factors, row, counter_dropout.row_key(seed, micro_batch, index))
            for index, row in enumerate(rows)
        ]

    def _rate(self) -> float:
        knobs = self.knobs
        shape = lr_schedule.factor(
            str(knobs["scheduler"]), float(knobs["warmup"]), self.step, self.total_steps
        )
        return float(knobs["learning_rate"]) * shape

    def _check_finite(self, name: str, value: float) -> None:
        if math.isfinite(value):
            return
        why = f"; a lower learning_rate (now {self.knobs['learning_rate']:g}) or clip_norm (now "
        why += f"{self.knobs['clip_norm']:g}) may help"
        if self.step == 0:  # nothing was trained yet
            why = f", before any update: the cause is the base in {self._base.precision}, or the rows"
        raise Diverged(f"{name} is {value} at step {self.step + 1}{why}")

    def _evaluate(self) -> Generator[Want, tuple[Done, float], str]:
        """Evaluate on the validation rows. Returns the reason to stop, else ""."""
        partial = self._partial
        while partial.judged < len(self._held):
            rows = self._held.batch(partial.judged)
            done, _ = yield from self._ask(self._held.want(self.factors, rows))
            self._held.take(rows, done, partial.sums, partial.losses)
            partial.judged += len(rows)
        self._partial = Partial()
        metrics, losses = partial.sums.metrics(), self._held.row_losses(partial.losses)
        self._evaluated_step = self.step
        self.latest.update(metrics)
        fields = {"elapsed_s": self.elapsed_s, "metrics": metrics, "rows": losses}
        self.reporter.emit(e.TrialEvaluated, step=self.step, **fields)
        value, best = metrics.get(self._goal), self._patience.best
        why = self._patience.update(value) if value is not None else None
        if self._patience.best != best:
            self.best_at = self.position
        return why or ""

    # -- reports ----------------------------------------------------------------------------------

    def _report(self, loss: float, norm: float, rate: float, tokens_per_s: float) -> None:
        metrics = {
            "train/loss": loss,
            "train/learning_rate": rate,
            "train/grad_norm": norm,
            "train/tokens_per_s": tokens_per_s,
            **device_memory.read_metrics(self._base.device),
        }
        if device_memory.ALONE in self.latest:
            metrics[device_memory.ALONE] = self.latest[device_memory.ALONE]
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.latest.update(metrics)
        now = time.monotonic()
        due = now - self._reported_at >= self._spec.resources.report_every_s
        if due or self.step in (1, self.total_steps) or self.step % self.every == 0:
            self._reported_at = now
            self.reporter.emit(e.TrialReported, step=self.step, elapsed_s=self.elapsed_s, metrics=metrics)

    # -- checkpoints ------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """How far it is; greater is further."""
        return Position(self.step, self._done)

    def snapshot(self) -> checkpoint_files.Snapshot:
        """The state between two micro-batches, copied to host memory."""
        tensors, _ = optimizers.tensors_of(self.optimizer)
        if self._partial.micro_batches and self.factors.grad is not None:
            tensors = {**tensors, GRADIENT: self.factors.grad}
        pending = self.pending()
        tensors = {**tensors, **{f"{SCORING}{waiting.step}": waiting.factors.matrix for waiting in pending}}
        return checkpoint_files.Snapshot(
            adapter=checkpoint_files.copy_to_host(dict(self.factors.named())),
            optimizer=checkpoint_files.copy_to_host(tensors),
            numbers=self._progress(pending).numbers(),
        )

    def _progress(self, pending: Sequence[Snapshot]) -> TrialProgress:
        return TrialProgress(
            step=self.step,
            done=self._done,
            elapsed_s=self.elapsed_s,
            optimizer=optimizers.tensors_of(self.optimizer)[1],
            best=self._patience.best,
            best_at=self.best_at,
            waited=self._patience.waited,
            latest=self.latest,
            evaluated_step=self._evaluated_step,
            passed_step=self._passed_step,
            since=self.course.since,
            knobs=self.knobs,
            submitted=self._submitted_step,
            pending=[PendingSnapshot(each.step, each.elapsed_s, each.writes, each.last) for each in pending],
            unsaid=self.card.unsaid,
            inspected=self._inspected.snapshot(),
            past=self.card.past.numbers(),
            why=self._why,
            partial=self._partial,
        )

    def restore(self, snapshot: checkpoint_files.Snapshot) -> None:
        """Continue from ``snapshot``, perhaps one of a trial with other knobs; call it before ``life``.
        Raises TrimtabError if ``clone_checkpoint`` rejects it."""
        tensors, matrices = _split_pending(snapshot.optimizer)
        old = trial_progress.read(snapshot.numbers)
        factors = dict(self.factors.named())
        progress, tensors, notes = clone_checkpoint.adapt(old, snapshot.adapter, tensors, self.knobs, factors)
        for note in notes:
            self.reporter.note(note)
        self.course = self.course.starting(progress.since, self.knobs)
        self.total_steps = self.course.total_steps
        gradient = tensors.pop(GRADIENT, None)
        self.factors.load(snapshot.adapter)
        self.factors.grad = None if gradient is None else gradient.to(self._base.device)
        optimizers.restore(self.optimizer, tensors, progress.optimizer)
        self.step, self.elapsed_s, self._done = progress.step, progress.elapsed_s, progress.done
        self._patience.best, self._patience.waited = progress.best, progress.waited
        self.best_at, self._evaluated_step = progress.best_at, progress.evaluated_step
        self._passed_step, self._submitted_step = progress.passed_step, progress.submitted
        self.card.latest, self.card.unsaid, self._why = progress.latest, progress.unsaid, progress.why
        self.card.past.restore(progress.past)
        self.unscored = self._unscored_snapshots(progress.pending, matrices)
        self._inspected.restore(progress.inspected)
        self._partial = progress.partial or Partial()

    def _unscored_snapshots(
        self, pending: Sequence[PendingSnapshot], matrices: dict[int, torch.Tensor]
    ) -> list[Snapshot]:
        """The snapshots that were unscored when the checkpoint was written."""
        snapshots = []
        for step, elapsed_s, writes, last in pending:
            matrix = matrices.get(step)
            if matrix is not None and matrix.shape == self.factors.matrix.shape:
                factors = frozen_copy(self.factors)
                factors.matrix.data.copy_(matrix)
                snapshots.append(Snapshot(self.number, factors, self.card, step, elapsed_s, writes, last))
        return snapshots

    def to(self, device: torch.device) -> None:
        """Move all its tensors to ``device``."""
        self.factors.to(device)
        optimizers.move(self.optimizer, device)


def _split_pending(
    tensors: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[int, torch.Tensor]]:
    """Split off the matrices that wait to be scored, by step."""
    pending = {name: tensor for name, tensor in tensors.items() if name.startswith(SCORING)}
    rest = {name: tensor for name, tensor in tensors.items() if name not in pending}
    return rest, {int(name.removeprefix(SCORING)): tensor for name, tensor in pending.items()}
