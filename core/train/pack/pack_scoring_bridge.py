"""Connects a pack's training to the scoring of its boards in the background."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import msgspec

from core.contract.events import event_types as e
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire import worker_api
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import copy_frozen
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place
from core.train.base.shared_pass_check import Survey
from core.train.data.dataset import Data
from core.train.evaluation.board_probes import Boards
from core.train.pack import resume
from core.train.pack.pack_checkpoints import Checkpointer
from core.train.reporter import Reporter
from core.train.scoring.background_scoring import BackgroundScoring
from core.train.scoring.base_model_scoring import BaseScoring
from core.train.scoring.batched_scoring import BatchedAnswers
from core.train.scoring.scoring_budget import Budget
from core.train.scoring.scoring_queue import Snapshot
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward
from core.train.step.oom_report import is_out_of_memory
from core.train.trial.trial_training import Trial

log = logging.getLogger("trimtab.scoring")


class PackScoring:
    """Scores snapshots of the pack's trials and the base, if the study has boards or tasks.

    Scoring has a stack of its own: its passes use the gates of ``front``, the training stack, and never
    change that stack.
    """

    def __init__(
        self,
        spec: StudySpec,
        base: Base,
        data: Data,
        places: list[Place],
        front: Stack,
        survey: Survey,
        keeper: Checkpointer,
        reporter: Reporter,
        budget: Budget,
    ) -> None:
        self._spec, self._base, self._data, self._places = spec, base, data, places
        self._reporter, self._budget = reporter, budget
        self._front, self._survey, self._keeper = front, survey, keeper
        self._bound = 0  # tokens of a pass; 0: no limit
        has_boards = spec.evaluate.boards or spec.evaluate.tasks
        self.boards: Boards | None = None
        self.background: BackgroundScoring | None = None
        if has_boards:
            self.use(Boards(spec, base, data))

    def use(self, boards: Boards) -> None:
        """Score with ``boards``."""
        stack = Stack(self._base.model.dtype, self._base.device, self._front)
        forward = Forward(self._base, stack, self._survey.head)
        apart = bool(self._survey.astray or self._survey.why_alone)
        answering = BatchedAnswers(self._base, stack, forward, apart)
        base_scoring = BaseScoring(self._spec, self._base, boards, self._reporter)
        self.boards = boards
        self.background = BackgroundScoring(
            self._spec, boards, base_scoring, answering, stack, self._keeper.after_end, self._budget
        )
        self.background.bind(self._bound)

    def change_triggers(self, triggers: tuple[str, ...]) -> None:
        """Ask with ``triggers`` from now on. What is pending is scored with them, from its first question."""
        before, section = self.background, self._spec.evaluate
        if before is None or self.boards is None or triggers == section.triggers:
            return
        self._spec = msgspec.structs.replace(
            self._spec, evaluate=msgspec.structs.replace(section, triggers=triggers)
        )
        self.use(Boards(self._spec, self._base, self._data, self.boards.detectors))
        assert self.background is not None
        before.hand_over(self.background)

    @property
    def busy(self) -> bool:
        """Whether anything is left to score."""
        return self.background is not None and self.background.busy

    @property
    def ready(self) -> bool:
        """Whether any trial has trained already; nothing is scored before that."""
        return self.background is None or self.background.ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        if self.background is not None:
            self.background.ready = ready

    def join(self, trial: Trial) -> None:
        """Queue the unscored snapshots of a trial that joins, and start the base's own scoring."""
        if self.background is None:
            return
        self.background.begin_base(trial.folder.parent)
        trial.list_pending = partial(self.list_pending, trial.number)
        for snapshot in trial.unscored:
            self.background.enqueue(snapshot)
        trial.unscored = []

    def submit(self, trial: Trial, last: bool) -> None:
        """Queue a snapshot of the trial as it is now."""
        if self.background is None or self.boards is None:
            return
        try:
            factors = copy_frozen(trial.factors)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free(self._base.device)
            trial.reporter.warn(f"step {trial.step} is not scored: out of memory for a snapshot")
            return
        writes = self.boards.writes(trial.step // trial.every, last)
        trained = trial.course.rows_trained(trial.step)
        self.background.enqueue(
            Snapshot(trial.number, factors, trial.card, trial.step, trial.elapsed_s, writes, last, trained)
        )

    def score(self, message: worker_api.Score) -> None:
        """Score a complete trial whose worker is gone, from its saved adapter."""
        if self.background is None or self.list_pending(message.trial):
            return
        try:
            snapshot = resume.load_snapshot(
                self._spec, self._base, self._data, self._places, message, self._reporter
            )
        except Exception as error:
            log.error("trial %d", message.trial, exc_info=error)
            why = f"the saved adapter cannot be scored: {sanitize(f'{type(error).__name__}: {error}', 300)}"
            self._reporter.of(message.trial).emit(e.ScoringEnded, why=why)
            return
        self.background.begin_base(Path(message.folder).parent)
        self.background.enqueue(snapshot)

    def drop(self, number: int) -> None:
        """Cancel the scoring of a trial that left."""
        if self.background is not None:
            self.background.drop(number)

    def list_pending(self, number: int) -> list[Snapshot]:
        """The trial's unscored snapshots, for its checkpoint."""
        return self.background.list_pending(number) if self.background is not None else []

    def bind(self, tokens: int) -> None:
        """Limit a pass to ``tokens``; 0 lifts the limit."""
        self._bound = tokens
        if self.background is not None:
            self.background.bind(tokens)

    def turn(self, training: bool) -> None:
        """Do one unit of scoring if the budget allows it."""
        if self.background is not None:
            self.background.turn(training)
