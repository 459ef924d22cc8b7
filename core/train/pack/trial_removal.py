"""Removes trials from a pack: complete, pruned, requeued or failed ones."""

from __future__ import annotations

from functools import partial

from core.contract.events import event_types as e
from core.train.evaluation.trial_scores import Diverged
from core.train.pack.pack_assembly import PackParts
from core.train.step import device_memory, oom_report
from core.train.trial.trial_training import Trial


class Departures:
    """Reports why a trial leaves, after its files are written, and frees what it used."""

    def __init__(self, parts: PackParts) -> None:
        self._parts, self._members, self._keeper = parts, parts.members, parts.keeper

    def complete(self, trial: Trial, why: str) -> None:
        """Save the adapter of a trained trial; its scoring goes on. Raises Diverged if an objective has no
        value."""
        last = [snapshot.step for snapshot in trial.list_pending() if snapshot.last]
        self._keeper.complete(trial, why, last[-1] if last else -1)
        self._remove(trial.number, complete=True, scored=bool(last))

    def prune(self, trial: Trial, why: str) -> None:
        """Prune a trial, and checkpoint it first, since the prune may be undone."""
        if not self._members[trial.number].paused and trial.is_trained(why):
            return
        step = trial.step
        self._keeper.keep(trial)
        self._remove(trial.number)
        self._keeper.after(lambda: trial.reporter.emit(e.TrialPruned, step=step, why=why))

    def requeue(self, number: int, why: str, with_checkpoint: bool = True) -> None:
        """Requeue a trial, checkpointed as it is if its state is ``with_checkpoint``."""
        member = self._members[number]
        if with_checkpoint:
            self._keeper.keep(member.trial)
        self._remove(number)
        reporter = member.trial.reporter
        self._keeper.after(lambda: reporter.emit(e.TrialRequeued, why=why, retry=member.retry))
        device_memory.free(self._parts.base.device)

    def fail(self, trial: Trial, error: Exception) -> None:
        """End a trial because of ``error``."""
        self._remove(trial.number)
        if isinstance(error, Diverged):
            trial.reporter.emit(e.TrialFailed, error=str(error), step=trial.step)
        elif oom_report.is_out_of_memory(error):
            device = self._parts.base.device
            why = oom_report.describe_misfit(device, trial.knobs, trial.step, error)
            trial.reporter.emit(e.TrialInfeasible, why=why)
        else:  # after the checkpoint that the next attempt starts from
            self._keeper.after(partial(trial.reporter.fail, error, trial.step))

    def _remove(self, number: int, complete: bool = False, scored: bool = False) -> None:
        """Remove the trial and free its tensors. Its inspection goes on only if it is ``complete``, and so
        does its scoring, if there is any (``scored``)."""
        self._members.pop(number, None)
        if complete:
            self._parts.inspections.complete(number)
        else:
            self._parts.inspections.drop(number)
        if not scored:
            self._parts.scoring.drop(number)
        self._keeper.forget(number)
        self._parts.rounds.alone.pop(number, None)
        if not self._members.trains:
            self._members.stack_active()
            device_memory.free(self._parts.base.device)
