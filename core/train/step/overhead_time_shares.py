"""Sums up what a pack's time goes to besides training: padding, rows, evaluation, scoring. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

BACKWARD = 2  # a training pass costs as much as this many evaluation passes: the base itself has no gradient


class Shares(TypedDict):
    """Each from 0 to 1: ``padding`` of the positions that the base computed, the others of the time of turns
    in which trials trained. None: nothing was measured."""

    padding: float | None
    data_wait: float | None
    scoring: float | None
    evaluation: float | None


@dataclass
class TimeShares:
    """Sums over turns. They come from the host's clock and from counts of rows, so nothing waits for a
    device. ``data_s`` is the time in which the host picked and padded rows."""

    total_s: float = 0.0
    data_s: float = 0.0
    scoring_s: float = 0.0
    evaluation_s: float = 0.0
    tokens: int = 0  # of all passes, padding included
    row_tokens: int = 0  # the same without padding

    def add_turn(self, round_s: float, scoring_s: float) -> None:
        """Add a turn: a round of training and a unit of scoring."""
        self.total_s += round_s + scoring_s
        self.scoring_s += scoring_s

    def add_round(
        self, busy_s: float, data_s: float, tokens: int, row_tokens: int, evaluated_tokens: int
    ) -> None:
        """Add a round; ``evaluated_tokens`` of its ``tokens`` were not trained on."""
        self.data_s += data_s
        self.tokens += tokens
        self.row_tokens += row_tokens
        self.evaluation_s += busy_s * compute_evaluation_share(tokens, evaluated_tokens)

    def shares(self) -> Shares:
        """What the sums are of all time and of all positions."""
        times = (self.data_s, self.scoring_s, self.evaluation_s)
        data_wait, scoring, evaluation = (
            min(1.0, seconds / self.total_s) if self.total_s else None for seconds in times
        )
        padding = 1 - self.row_tokens / self.tokens if self.tokens else None
        return Shares(padding=padding, data_wait=data_wait, scoring=scoring, evaluation=evaluation)


def compute_evaluation_share(tokens: int, evaluated: int) -> float:
    """The share of a round's time that ``evaluated`` of its ``tokens`` took: passes cannot be timed one by
    one without waiting for the device."""
    cost = BACKWARD * (tokens - evaluated) + evaluated
    return evaluated / cost if cost else 0.0
