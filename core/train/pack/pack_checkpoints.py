"""Writes a pack's checkpoints when they are due, and the adapters of complete trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Hashable, Mapping
from functools import partial
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.study_spec import StudySpec
from core.train import checkpoint_files, checkpoint_tensor_copies
from core.train.adapters import peft_config
from core.train.adapters.reload_check import Expected, ReloadCheck, ReloadMismatch
from core.train.base.base_model import Base
from core.train.pack.writer_thread import Writer
from core.train.reporter import Reporter
from core.train.step.oom_report import is_out_of_memory
from core.train.training_position import Position
from core.train.trial import trial_checkpoint
from core.train.trial.trial_training import Trial


class CheckpointSchedule:
    """Checkpoints the whole pack every ``steps`` or ``seconds``; 0 turns either off."""

    def __init__(self, steps: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds, self._clock = steps, seconds, clock
        self._kept: dict[int, int] = {}  # each trial's step at the last checkpoint
        self._kept_at = clock()

    def join(self, trial: int, step: int) -> None:
        """Start counting a trial's steps."""
        self._kept[trial] = step

    def due(self, steps: Mapping[int, int]) -> bool:
        """Whether the pack, with its trials at ``steps``, must be checkpointed now; if so, restarts the
        count."""
        every = self._steps
        far = every and any(step // every > self._kept[number] // every for number, step in steps.items())
        late = self._seconds and self._clock() - self._kept_at >= self._seconds
        if not (far or late):
            return False
        self._kept, self._kept_at = dict(steps), self._clock()
        return True


class Checkpointer:
    """Writes checkpoints and adapters in the background, from copies that are taken at once.

    Adapters, which wait for space on a full disk, have a thread of their own, so that a prune is reported
    meanwhile.
    """

    def __init__(self, spec: StudySpec, base: Base, reporter: Reporter, reload: ReloadCheck) -> None:
        self._base, self._reporter, self._reload = base, reporter, reload
        self._schedule = CheckpointSchedule(
            spec.resources.checkpoint_every, spec.resources.checkpoint_every_s
        )
        self._writer, self._adapters = Writer(), Writer()
        self._kept: dict[int, Position] = {}  # position of each trial's newest checkpoint

    def join(self, trial: Trial) -> None:
        """Start counting the trial's steps."""
        self._schedule.join(trial.number, trial.step)

    def forget(self, number: int) -> None:
        """Drop the state of a trial that left."""
        self._kept.pop(number, None)

    def due(self, trials: Collection[Trial], paused: Container[int] = ()) -> None:
        """Checkpoint a trial after its best evaluation, and all trials when any is due, so that the whole
        pack resumes from the same round."""
        for trial in trials:
            if trial.best_at == trial.position and trial.number not in paused:
                self.keep(trial)
        if self._schedule.due({trial.number: trial.step for trial in trials}):
            for trial in trials:
                self.keep(trial)

    def keep(self, trial: Trial, is_requested: bool = False) -> None:
        """Write a checkpoint and report it.

        It is not written twice at one position, nor at the start, unless it was ``is_requested`` for by
        someone who waits for it. A full disk is a warning, not an end.
        """
        at, best = trial.position, trial.best_at
        if not is_requested and (not at.done or self._kept.get(trial.number) == at):
            return
        self._kept[trial.number] = at
        snapshot = trial_checkpoint.take(trial)

        def write() -> None:
            try:
                path = checkpoint_files.write(trial.folder, at, snapshot, best)
            except OSError as error:
                self._kept.pop(trial.number, None)  # so that its last checkpoint is tried again
                trial.reporter.warn(f"no checkpoint was written at step {at.step}: {error}")
                return
            trial.reporter.emit(e.TrialCheckpointed, step=at.step, path=str(path))

        self._writer.do(write, None if is_requested else (trial.number, at == best))

    def complete(self, trial: Trial, why: str, scoring: int = -1) -> None:
        """Save the adapter, reload it with PEFT, and report the trial complete.

        ``scoring`` is the step whose scores, and with them the objectives of boards, are still to come; else
        -1. Raises Diverged if an objective has no value.
        """
        waits = scoring >= 0 and trial.card.waits
        values, folder = () if waits else trial.card.values(), trial.folder / "adapter"
        tensors, copies = trial.factors.copy_to_host()
        expected = self._reload.expect(trial.factors)

        def full(error: Exception) -> None:
            self._reporter.warn(
                f"trial {trial.number} has trained; its adapter waits for free disk space: {error}"
            )

        def write() -> None:
            try:
                copies.wait()
                own = checkpoint_tensor_copies.separate(tensors)
                save = partial(peft_config.save, self._base, trial.config, own, folder)
                if not self._adapters.retry_while_full(save, full):
                    return  # the next worker completes it from its checkpoint
                self._load_back(trial, folder, expected)
            except ReloadMismatch as unlike:
                error = f"the saved adapter {folder} differs from what was trained: {unlike}"
                trial.reporter.emit(e.TrialFailed, error=error, step=trial.step)
                return
            except Exception as error:
                trial.reporter.fail(error, trial.step)
                return
            trial.reporter.emit(
                e.TrialCompleted,
                step=trial.step,
                values=values,
                why=why,
                adapter=str(folder),
                scoring=scoring,
            )

        self._writer.do(lambda: self._adapters.do(write))  # after the events of its checkpoints

    def _load_back(self, trial: Trial, folder: Path, expected: Expected | None) -> None:
        """Compare the saved adapter with what was trained; warns if there is no memory for it. Raises
        ReloadMismatch."""
        try:
            if expected is not None:
                self._reload.check(folder, expected)
                return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        trial.reporter.warn("out of memory, so its saved adapter was not checked")

    def after(self, job: Callable[[], None], instead_of: Hashable = None) -> None:
        """Run ``job`` once all files queued before it are written."""
        self._writer.do(job, instead_of)

    def after_end(self, job: Callable[[], None]) -> None:
        """Run ``job`` once the ends of earlier trials are reported."""
        self._writer.do(lambda: self._adapters.do(job))

    def settle(self, patient: bool = True) -> None:
        """Wait until everything queued is written and reported; unless ``patient``, without waiting for space
        on a full disk."""
        self._writer.settle(patient)
        self._adapters.settle(patient)
