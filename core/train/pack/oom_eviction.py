"""Makes room in a pack after an out-of-memory error: decides which trial leaves, if any."""

from __future__ import annotations

import torch

from core.contract.events import event_types as e
from core.contract.wire.worker_api import Assign
from core.train.pack.pack_assembly import PackParts
from core.train.pack.pack_round import Outcome
from core.train.pack.trial_removal import Departures
from core.train.step import device_memory, oom_report

HOST = torch.device("cpu")


class OomRecovery:
    """The youngest trial leaves first. A trial that does not fit alone is infeasible."""

    def __init__(self, parts: PackParts, departures: Departures) -> None:
        self._parts, self._members, self._departures = parts, parts.members, departures
        self._device = parts.base.device

    def stack_active(self) -> None:
        """Stack the active trials; trials for which there is no memory leave."""
        while True:
            try:
                self._members.stack_active()
                return
            except Exception as error:
                if not oom_report.is_out_of_memory(error):
                    raise
                self._unload(error)
            device_memory.free(self._device)

    def _unload(self, error: Exception) -> None:
        active = self._members.active
        youngest = [number for number in self._members if number in active][-1]
        if len(active) > 1:
            self._departures.requeue(youngest, f"out of memory on {self._device} while stacking")
        else:
            self._departures.fail(active[youngest].trial, error)

    def bring_back(self, number: int) -> bool:
        """Move a paused trial to the device and stack it. Without memory for that it goes back to the host:
        next to trials that train it waits in the queue, else it stays paused. Returns whether it is there."""
        member = self._members[number]
        try:
            member.trial.to(self._device)
            member.paused = False
            self._members.stack_active()
        except Exception as error:
            if not oom_report.is_out_of_memory(error):
                raise
        else:
            return True
        member.paused = True
        member.trial.to(HOST)
        device_memory.free(self._device)
        self._report_not_back(number)
        return False

    def _report_not_back(self, number: int) -> None:
        trial, active_trials = self._members[number].trial, tuple(self._members.active)
        why = f"out of memory on {self._device} when it resumed"
        if not active_trials:
            trial.reporter.emit(e.TrialPaused, step=trial.step, why=why)
            return
        why += f" next to {len(active_trials)} others" if len(active_trials) > 1 else " next to another trial"
        text = f"trial {number} was requeued: {why}"
        oom_report.report(self._parts.reporter, self._device, (*active_trials, number), number, text)
        self._departures.requeue(number, why)

    def make_room(self, active: tuple[int, ...], outcome: Outcome, thin: bool) -> None:
        """Report that a round of the ``active`` trials ran out of memory; if it is to ``thin`` the pack, one
        of them leaves."""
        remaining = [number for number in self._members if number in active]  # the youngest last
        unsteady = [number for number in remaining if number in outcome.unsteady]
        count = len(active)
        if thin and len(remaining) > 1:
            moved = (unsteady or remaining)[-1]
            text = oom_report.describe_leaving(self._device, count, moved, youngest=not unsteady)
            why = f"out of memory on {self._device} with {count} trials"
            self._departures.requeue(moved, why, with_checkpoint=moved not in unsteady)
        else:
            moved = -1
            most_tokens, short = self._parts.rounds.most, outcome.shortest_oom
            text = oom_report.describe_limit(self._device, count, most_tokens, short)
        oom_report.report(self._parts.reporter, self._device, active, moved, text)

    def refuse(self, assign: Assign, error: Exception) -> None:
        """Requeue a trial whose own tensors do not fit; if no other trial is here, it is infeasible."""
        number = assign.trial
        reporter = self._parts.reporter.of(number)
        if not self._members:
            why = oom_report.describe_misfit(self._device, assign.knobs, 0, error)
            reporter.emit(e.TrialInfeasible, why=why)
            return
        why = f"out of memory on {self._device} when it joined {len(self._members)} others"
        text = f"trial {number} was requeued: {why}"
        oom_report.report(self._parts.reporter, self._device, (*self._members, number), number, text)
        reporter.emit(e.TrialRequeued, why=why, retry=assign.retry)
