"""A pack: the trials that share one frozen base, a micro-batch of each in turn."""

from __future__ import annotations

import gc
import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from core.contract import events as e
from core.contract import work
from core.contract.plain import plain
from core.contract.spec import Spec
from core.errors import TrimtabError
from core.train import adapters, checkpoint, memory
from core.train.data import Data
from core.train.model import Base
from core.train.trial import Diverged, Tell, Trial

log = logging.getLogger("trimtab.pack")


class Member:
    """A trial of the pack, and the point in its life where it stands."""

    def __init__(self, trial: Trial, paused: bool) -> None:
        self.trial, self.paused = trial, paused
        self.life: Iterator[None] = trial.life()


class Pack:
    """Trials join and leave between any two micro-batches; what happens to one is told and stays its own."""

    def __init__(self, spec: Spec, base: Base, data: Data, tell: Tell) -> None:
        self._spec, self._base, self._data, self._tell = spec, base, data, tell
        self._members: dict[int, Member] = {}
        self._last = -1  # the trial that had the last turn
        self._active = -1  # the trial whose adapter the base computes with

    def __len__(self) -> int:
        return len(self._members)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The trials it holds. Read by the link's thread."""
        return tuple(self._members)

    @property
    def busy(self) -> bool:
        """Is there a trial that is not paused?"""
        return any(not member.paused for member in self._members.values())

    # -- what is asked ----------------------------------------------------------------------------

    def do(self, message: work.ToWorker) -> None:
        """Assign, Pause, Resume or Prune; saying one twice is harmless."""
        match message:
            case work.Assign():
                if message.trial not in self._members:
                    self._join(message)
            case work.Pause():
                self._pause(message.trial, True)
            case work.Resume():
                self._pause(message.trial, False)
            case work.Prune():
                self._prune(message)

    def _join(self, assign: work.Assign) -> None:
        try:
            trial = Trial(self._spec, self._base, self._data, assign, self._tell)
        except adapters.Unfit as unfit:
            self._say(e.TrialInfeasible, assign.trial, why=str(unfit))
            return
        except torch.OutOfMemoryError as error:
            self._free()
            self._say(e.TrialInfeasible, assign.trial, why=self._too_big(assign.knobs, 0, error))
            return
        except Exception as error:
            self._failed(assign.trial, error)
            return
        self._active = -1  # a new adapter may have become active
        if assign.checkpoint:
            self._restore(trial, checkpoint.step_of(Path(assign.checkpoint)))
        self._members[assign.trial] = Member(trial, assign.paused)
        self._say(
            e.TrialRunning,
            assign.trial,
            step=trial.step,
            total_steps=trial.total_steps,
            trainable=trial.trainable,
        )
        if assign.paused:
            self._say(e.TrialPaused, assign.trial, step=trial.step)

    def _restore(self, trial: Trial, step: int) -> None:
        """From the checkpoint of ``step``, else an earlier one, else the beginning; a word for each that is
        not whole. A later one is passed over: the engine was lost before it heard what came before it."""
        for folder in checkpoint.known(trial.folder):
            if checkpoint.step_of(folder) > step:
                continue
            try:
                trial.restore(checkpoint.read(folder))
                return
            except (TrimtabError, KeyError, ValueError, RuntimeError) as error:
                text = f"trial {trial.number}: {plain(str(error), 300)}"
                note = e.StudyNoted(at=time.time(), study=self._spec.study.name, text=text, level="warning")
                self._tell(note)

    def _pause(self, number: int, paused: bool) -> None:
        member = self._members.get(number)
        if member is not None:
            member.paused = paused
            self._say(e.TrialPaused if paused else e.TrialResumed, number, step=member.trial.step)

    def _prune(self, message: work.Prune) -> None:
        member = self._members.get(message.trial)
        if member is not None:
            self._drop(message.trial)
            self._say(e.TrialPruned, message.trial, step=member.trial.step, why=message.why)

    # -- work -------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One micro-batch of the next trial that is not paused. Does nothing when there is none."""
        ready = sorted(number for number, member in self._members.items() if not member.paused)
        if not ready:
            return
        number = next((one for one in ready if one > self._last), ready[0])
        self._last = number
        member = self._members[number]
        try:
            if self._active != number:
                adapters.activate(self._base, member.trial.name)
                self._active = number
            next(member.life)
        except StopIteration:
            self._drop(number)
        except Diverged as error:
            self._drop(number)
            self._say(e.TrialFailed, number, error=str(error), step=member.trial.step)
        except torch.OutOfMemoryError as error:
            why = self._too_big(member.trial.knobs, member.trial.step, error)
            self._drop(number)
            self._say(e.TrialInfeasible, number, why=why)
        except Exception as error:
            self._drop(number)
            self._failed(number, error, member.trial.step)

    def checkpoint_all(self) -> None:
        """Keep every trial as it was at its last whole step."""
        for member in self._members.values():
            if member.trial.step:
                member.trial.write_checkpoint()

    # -- ends -------------------------------------------------------------------------------------

    def _drop(self, number: int) -> None:
        member = self._members.pop(number)
        member.life = iter(())
        member.trial.leave()
        self._active = -1
        self._free()

    def _free(self) -> None:
        gc.collect()
        if self._base.device.type == "cuda":
            torch.cuda.empty_cache()

    def _failed(self, number: int, error: Exception, step: int = 0) -> None:
        log.exception("trial %d", number)
        what = f"{type(error).__name__}: {plain(str(error), 300)}"
        self._say(e.TrialFailed, number, error=what, traceback=traceback.format_exc(), step=step)

    def _too_big(self, knobs: dict, step: int, error: Exception) -> str:
        peak = memory.readings(self._base.device)["memory/peak_bytes"]
        return (
            f"out of memory at step {step + 1} with batch_size {knobs['batch_size']} × sequence_length "
            f"{knobs['sequence_length']} (peak {peak / 2**30:.1f} GiB): {plain(str(error), 160)}"
        )

    def _say(self, kind: type[e.TrialEvent], number: int, **fields: object) -> None:
        self._tell(kind(at=time.time(), study=self._spec.study.name, trial=number, **fields))  # type: ignore[arg-type]
