"""A trial in a pack, with its open request."""

from __future__ import annotations

from core.train.pack.pack_round import Outcome
from core.train.step.compute_requests import Want
from core.train.trial.trial_training import Trial


class Member:
    """Drives one trial: sends results to its generator and holds its next request. ``retry`` counts how often
    the trial lost its worker."""

    def __init__(self, trial: Trial, paused: bool, retry: int = 0) -> None:
        self.trial, self.paused, self.retry = trial, paused, retry
        self.life = trial.life()
        self.want: Want = next(self.life)

    def take(self, outcome: Outcome) -> str | None:
        """Send the result of a round to the trial, if it has one. Returns why training ended, once it has;
        raises the error that ends the trial."""
        number = self.trial.number
        if number in outcome.errors:
            raise outcome.errors[number]
        if number not in outcome.done:
            return None
        try:
            self.want = self.life.send((outcome.done[number], outcome.busy_s))
        except StopIteration as over:
            return str(over.value)
        return None
