"""What is scored beside a pack's training: by its boards, where the study has any."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import torch

from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.contract.wire import worker_api
from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.base.linear_layers import Place
from core.train.base.row_isolation import Survey
from core.train.data.dataset import Data
from core.train.evaluation.study_boards import Boards
from core.train.pack import resume
from core.train.pack.checkpointing import Keeper
from core.train.scoring.adapter_snapshots import Snapshot, frozen
from core.train.scoring.background_scoring import Scorings
from core.train.scoring.base_scores import Bare
from core.train.scoring.scoring_batches import Answering
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward
from core.train.trial.trial_training import Trial
from core.train.trial_reporter import Tell, TrialReporter

log = logging.getLogger("trimtab.beside")


class Beside:
    """Passes go through the gates of ``front``, the stack of the training, and never change that stack."""

    def __init__(
        self,
        spec: Spec,
        base: Base,
        data: Data,
        places: list[Place],
        front: Stack,
        survey: Survey,
        keeper: Keeper,
        tell: Tell,
    ) -> None:
        self._spec, self._base, self._places, self._tell = spec, base, places, tell
        self._front, self._survey, self._keeper = front, survey, keeper
        wanted = spec.evaluate.boards or spec.evaluate.tasks
        self.boards: Boards | None = None
        self.scorings: Scorings | None = None
        if wanted:
            self.use(Boards(spec, base, data))

    def use(self, boards: Boards) -> None:
        """Score by ``boards``."""
        stack = Stack(self._base.model.dtype, self._base.device, self._front)
        forward = Forward(self._base, stack, self._survey.head)
        apart = bool(self._survey.astray or self._survey.why_alone)
        answering = Answering(self._base, stack, forward, apart)
        bare = Bare(self._spec, self._base, boards, self._tell)
        self.boards = boards
        self.scorings = Scorings(self._spec, boards, bare, answering, stack, self._keeper.after_end)

    @property
    def busy(self) -> bool:
        """Is anything to be scored?"""
        return self.scorings is not None and self.scorings.busy

    @property
    def ready(self) -> bool:
        """Did something train already? Nothing is scored before that."""
        return self.scorings is None or self.scorings.ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        if self.scorings is not None:
            self.scorings.ready = ready

    def join(self, trial: Trial) -> None:
        """Take up what is pending of a trial that joins, and the base's own scores."""
        if self.scorings is None:
            return
        self.scorings.begin_base(trial.folder.parent)
        trial.pending = partial(self.scorings.pending, trial.number)
        for snapshot in trial.unscored:
            self.scorings.want(snapshot)
        trial.unscored = []

    def submit(self, trial: Trial, last: bool) -> None:
        """Have the trial scored as it is now."""
        if self.scorings is None or self.boards is None:
            return
        try:
            factors = frozen(trial.factors)
        except torch.OutOfMemoryError:
            free(self._base.device)
            trial.card.voice.warn(f"it is not scored at step {trial.step}: no memory for a snapshot")
            return
        writes = self.boards.writes(trial.step // trial.every, last)
        self.scorings.want(
            Snapshot(trial.number, factors, trial.card, trial.step, trial.elapsed_s, writes, last)
        )

    def score(self, message: worker_api.Score) -> None:
        """Score a complete trial whose worker is gone: by the adapter that it saved."""
        if self.scorings is None or self.scorings.pending(message.trial):
            return
        try:
            snapshot = resume.saved(self._spec, self._base, self._places, message, self._tell)
        except Exception as error:
            log.error("trial %d", message.trial, exc_info=error)
            why = f"its adapter cannot be scored: {plain(f'{type(error).__name__}: {error}', 300)}"
            TrialReporter(self._spec.study.name, message.trial, self._tell).say(e.ScoringEnded, why=why)
            return
        self.scorings.begin_base(Path(message.folder).parent)
        self.scorings.want(snapshot)

    def drop(self, number: int) -> None:
        """The trial is gone: nobody waits for its scores."""
        if self.scorings is not None:
            self.scorings.drop(number)

    def bind(self, tokens: int) -> None:
        """No pass may have more than ``tokens``; 0 lifts the bound."""
        if self.scorings is not None:
            self.scorings.bind(tokens)

    def turn(self, training: bool) -> None:
        """A unit of work, where the budget has room for it."""
        if self.scorings is not None:
            self.scorings.turn(training)
