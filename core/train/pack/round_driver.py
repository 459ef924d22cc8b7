"""Drives the rounds of a pack: each trial's request is run, and its result sent back."""

from __future__ import annotations

import time

from core.train.pack.oom_eviction import OomRecovery
from core.train.pack.pack_assembly import PackParts
from core.train.pack.pack_members import Member
from core.train.pack.pack_round import Outcome, Requests
from core.train.pack.trial_removal import Departures
from core.train.step import device_memory
from core.train.step.compute_requests import Learn
from core.train.step.oom_report import is_out_of_memory


class RoundDriver:
    """Runs one round after the other. A failure ends only its own trial."""

    def __init__(self, parts: PackParts, departures: Departures, recovery: OomRecovery) -> None:
        self._parts, self._members = parts, parts.members
        self._departures, self._recovery = departures, recovery

    def run_round(self) -> None:
        """Run one round of all active trials. Raises torch.AcceleratorError if the device fails."""
        self._recovery.stack_active()
        active, scoring = self._members.active, self._parts.scoring
        requests = {number: (member.trial, member.request) for number, member in active.items()}
        outcome = self._parts.rounds.do(requests)
        updated = [
            number
            for number, (_, request) in requests.items()
            if isinstance(request, Learn) and request.update
        ]
        scoring.ready = scoring.ready or any(number in outcome.done for number in updated)
        self._measure(requests, outcome)
        with device_memory.share_readings():
            self._advance_all(active, outcome)
        self._parts.meter.shares.add_round(
            outcome.busy_s, outcome.data_s, outcome.tokens, outcome.row_tokens, outcome.evaluated_tokens
        )
        self._parts.keeper.due(list(self._members.trials.values()), self._members.paused)

    def _measure(self, requests: Requests, outcome: Outcome) -> None:
        learning = [request for _, request in requests.values() if isinstance(request, Learn)]
        if outcome.errors or len(learning) < len(requests):
            return
        rows = [item.row for request in learning for item in request.items]
        reasons = list(self._parts.rounds.alone.values())
        why = reasons[-1] if len(reasons) > 1 else ""
        trials = self._members.trials
        cost = self._parts.rounds.costs.measured
        self._parts.meter.round(tuple(requests), trials, rows, outcome.busy_s, outcome.widest, why, cost)

    def _advance_all(self, active: dict[int, Member], outcome: Outcome) -> None:
        """Send every trial its result. After out of memory in a shared pack, failed requests are repeated and
        the youngest trial leaves."""
        errors = outcome.errors
        stuck = [trial for trial in active if trial in errors and is_out_of_memory(errors[trial])]
        retried = stuck if len(active) > 1 else []
        for number, member in active.items():
            if number in retried:
                continue
            try:
                self._advance(member, outcome)
            except Exception as error:
                self._departures.fail(member.trial, error)
        if outcome.shortest_oom or stuck:
            self._recovery.make_room(tuple(active), outcome, bool(retried))

    def _advance(self, member: Member, outcome: Outcome) -> None:
        """Send the trial the result of its request. Raises the error that ends it."""
        began = time.perf_counter()
        why, trial = member.take(outcome), member.trial
        if isinstance(member.request, Learn):
            outcome.data_s += time.perf_counter() - began  # it picked the rows of its next micro-batch
        if trial.edited:  # an older checkpoint must not be resumed with the new knobs
            trial.edited = False
            self._parts.keeper.keep(trial)
        if why is not None:
            trial.latest.setdefault(device_memory.ALONE, self._parts.meter.alone(trial))
            self._departures.complete(trial, why)
