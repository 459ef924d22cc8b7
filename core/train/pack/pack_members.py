"""The members of a pack: trials with their open requests, stacked while they train."""

from __future__ import annotations

from core.train.adapters.adapter_stack import Stack
from core.train.pack.pack_round import Outcome
from core.train.step.compute_requests import Request
from core.train.trial.trial_training import Trial


class Member:
    """Drives one trial: sends results to its generator and holds its next request. ``retry`` counts how often
    the trial lost its worker."""

    def __init__(self, trial: Trial, paused: bool, retry: int = 0) -> None:
        self.trial, self.paused, self.retry = trial, paused, retry
        self._requests = trial.run()
        self.request: Request = next(self._requests)

    def take(self, outcome: Outcome) -> str | None:
        """Send the result of a round to the trial, if it has one. Returns why training ended, once it has;
        raises the error that ends the trial."""
        number = self.trial.number
        if number in outcome.errors:
            raise outcome.errors[number]
        if number not in outcome.done:
            return None
        try:
            self.request = self._requests.send((outcome.done[number], outcome.busy_s))
        except StopIteration as over:
            return str(over.value)
        return None


class Members(dict[int, Member]):
    """The members of a pack by trial number, the youngest last."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._stack = stack
        self._stacked: tuple[tuple[int, bool], ...] = ()  # (number, uses dropout) of each stacked trial

    @property
    def trains(self) -> bool:
        """Whether any trial is not paused."""
        return any(not member.paused for member in self.values())

    @property
    def trials(self) -> dict[int, Trial]:
        """All trials, the paused ones too."""
        return {number: member.trial for number, member in self.items()}

    @property
    def active(self) -> dict[int, Member]:
        """The members that train, in the order of trial numbers."""
        return {number: member for number, member in sorted(self.items()) if not member.paused}

    @property
    def paused(self) -> list[int]:
        """The numbers of the paused trials."""
        return [number for number, member in self.items() if member.paused]

    def stack_active(self) -> None:
        """Stack the active trials if they, or their use of dropout, changed. After
        an out-of-memory error nothing is stacked."""
        trials = [member.trial for member in self.active.values()]
        stacked = tuple((trial.number, trial.factors.dropout > 0) for trial in trials)
        if stacked == self._stacked:
            return
        self._stacked = stacked
        try:
            self._stack.compose([(trial.factors, trial.batch) for trial in trials])
        except Exception:
            self._stack.groups, self._stacked = [], ()
            raise
