"""A trial of a pack: where it stands in its life, and what it wants next."""

from __future__ import annotations

from core.train.pack.pack_round import Outcome
from core.train.step.step_requests import Want
from core.train.trial.trial_training import Trial


class Member:
    """``retry`` counts how often the trial lost its worker."""

    def __init__(self, trial: Trial, paused: bool, retry: int = 0) -> None:
        self.trial, self.paused, self.retry = trial, paused, retry
        self.life = trial.life()
        self.want: Want = next(self.life)

    def take(self, outcome: Outcome) -> str | None:
        """Take what came of its want, if it is done; why its life is over, once it is. Raises what ends
        it."""
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
