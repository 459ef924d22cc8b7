"""What a pack writes: checkpoints when they are due, and the adapters of trials that are done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Hashable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.train import checkpoint_files
from core.train.adapters import peft_config
from core.train.adapters.reload_check import Expected, ReloadCheck, ReloadMismatch
from core.train.base.base_model import Base
from core.train.checkpoint_position import Position
from core.train.pack.checkpoint_schedule import Cadence
from core.train.pack.writer_thread import Writer
from core.train.trial.trial_training import Trial


class Speaker(Protocol):
    """The pack, as far as its keeper tells of things."""

    def say(self, kind: type[e.TrialEvent], number: int, **fields: Any) -> None: ...
    def warn(self, text: str) -> None: ...
    def failed(self, number: int, error: Exception, step: int = 0) -> None: ...


class Keeper:
    """Snapshots are taken at once; a thread writes them. Adapters, which wait for room on a full disk, have
    another: a prune is told meanwhile."""

    def __init__(self, spec: Spec, base: Base, speaker: Speaker, reload: ReloadCheck) -> None:
        self._base, self._speaker, self._reload = base, speaker, reload
        self._cadence = Cadence(spec.resources.checkpoint_every, spec.resources.checkpoint_every_s)
        self._writer, self._adapters = Writer(), Writer()
        self._kept: dict[int, Position] = {}  # of each trial's newest checkpoint

    def join(self, trial: Trial) -> None:
        """Count its steps from here."""
        self._cadence.join(trial.number, trial.step)

    def forget(self, number: int) -> None:
        """The trial is gone."""
        self._kept.pop(number, None)

    def due(self, trials: Collection[Trial], paused: Container[int] = ()) -> None:
        """A trial at its best is kept. When one is due all are: the pack can be brought back whole, every
        trial as far as it was beside the others."""
        for trial in trials:
            if trial.best_at == trial.position and trial.number not in paused:
                self.keep(trial)
        if self._cadence.due({trial.number: trial.step for trial in trials}):
            for trial in trials:
                self.keep(trial)

    def keep(self, trial: Trial, asked: bool = False) -> None:
        """Write a checkpoint and tell of it; not twice at one place, and none of the beginning, unless
        somebody ``asked`` for it and waits. A full disk is a word, not an end."""
        at, best = trial.position, trial.best_at
        if not asked and (not at.done or self._kept.get(trial.number) == at):
            return
        self._kept[trial.number] = at
        snapshot = trial.snapshot()

        def write() -> None:
            try:
                path = checkpoint_files.write(trial.folder, at, snapshot, best)
            except OSError as error:
                self._kept.pop(trial.number, None)  # its end may find room
                self._speaker.warn(f"trial {trial.number}: no checkpoint at step {at.step}: {error}")
                return
            self._speaker.say(e.TrialCheckpointed, trial.number, step=at.step, path=str(path))

        self._writer.do(write, None if asked else (trial.number, at == best))

    def complete(self, trial: Trial, why: str, scoring: int = -1) -> None:
        """Save the adapter, have PEFT load it back, and tell when it is safe. ``scoring`` is the step whose
        scores are to come, and with them the objectives that wait for the boards. Raises Diverged for one
        without a value."""
        waits = scoring >= 0 and trial.card.waits
        values, folder = () if waits else trial.card.values(), trial.folder / "adapter"
        tensors = checkpoint_files.copy_to_host(dict(trial.factors.named()))
        expected = self._reload.expect(trial.factors)

        def full(error: Exception) -> None:
            self._speaker.warn(
                f"trial {trial.number} is trained, and its adapter waits for room on the disk: {error}"
            )

        def write() -> None:
            try:
                save = partial(peft_config.save, self._base, trial.config, tensors, folder)
                if not self._adapters.patiently(save, full):
                    return  # it ends again, from its checkpoint, with the next worker
                self._load_back(trial, folder, expected)
            except ReloadMismatch as unlike:
                error = f"its adapter, {folder}, is not what was trained: {unlike}"
                self._speaker.say(e.TrialFailed, trial.number, error=error, step=trial.step)
                return
            except Exception as error:
                self._speaker.failed(trial.number, error, trial.step)
                return
            self._speaker.say(
                e.TrialCompleted, trial.number,
                step=trial.step, values=values, why=why, adapter=str(folder), scoring=scoring,
            )  # fmt: skip

        self._writer.do(lambda: self._adapters.do(write))  # its checkpoints are told before

    def _load_back(self, trial: Trial, folder: Path, expected: Expected | None) -> None:
        """Raises ReloadMismatch; a word where there is no memory for it."""
        try:
            if expected is not None:
                self._reload.check(folder, expected)
                return
        except torch.OutOfMemoryError:
            pass
        self._speaker.warn(f"trial {trial.number}: no memory to have PEFT load its adapter back")

    def after(self, job: Callable[[], None], instead_of: Hashable = None) -> None:
        """Do ``job`` when all that was to be written before it is written."""
        self._writer.do(job, instead_of)

    def after_end(self, job: Callable[[], None]) -> None:
        """Do ``job`` when the ends of trials before are told."""
        self._writer.do(lambda: self._adapters.do(job))

    def settle(self, patient: bool = True) -> None:
        """Wait until all that is to be written is written, and told; not for room on the disk unless
        ``patient``."""
        self._writer.settle(patient)
        self._adapters.settle(patient)
