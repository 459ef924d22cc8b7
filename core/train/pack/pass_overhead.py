"""Measures on a GPU what a pass costs apart from its tokens: launches, which depend on layers and trials."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from core.memory.estimate.rows_per_pass import MOST, count_overhead

ROUNDS = 64  # the newest rounds, which a fit takes into account
EVERY = 16  # rounds between two fits
LEAST = 64  # tokens
FAR = 16.0  # at most this factor from the constant of ``batch_passes``, in either direction
DISTINCT = 1e-2  # 1 - cos² of the angle between passes and tokens: below it a fit cannot tell them apart


class Round(NamedTuple):
    """Passes of one round, their tokens with padding, and the seconds that the round took."""

    passes: int
    tokens: int
    busy_s: float


class PassCosts:
    """The fixed cost of a pass, in tokens that take as long. On a CPU it is a constant, so that which rows
    share a pass, and with it every bit of a loss, does not depend on measured time."""

    def __init__(self, device: str, parameters: int) -> None:
        self._constant = self.overhead = count_overhead(device, parameters)
        self._measures = device != "cpu"
        self._rounds: deque[Round] = deque(maxlen=ROUNDS)
        self._of: Hashable = None
        self._since = 0  # rounds since the last fit

    @property
    def measured(self) -> int:
        """The measured cost, tokens; 0 before a measurement."""
        return self.overhead if self.overhead != self._constant else 0

    def add(self, of: Hashable, round_: Round) -> None:
        """Add a round in which only trained the trials ``of``. The first round of a pack also allocates, and
        is left out."""
        if not self._measures:
            return
        if of != self._of:
            self._of = of
            self._rounds.clear()
            self._since = 0
            return
        self._rounds.append(round_)
        self._since += 1
        if self._since >= EVERY:
            self._since = 0
            self._fit()

    def _fit(self) -> None:
        cost = fit(self._rounds)
        if cost is not None:
            low, high = max(LEAST, self._constant / FAR), min(MOST, self._constant * FAR)
            self.overhead = round(min(max(cost, low), max(low, high)))


def fit(rounds: deque[Round]) -> float | None:
    """The cost of a pass in tokens, by least squares of the relative error of
    seconds = passes · a + tokens · b; None where the rounds do not tell a and b apart."""
    columns = [
        (measured.passes / measured.busy_s, measured.tokens / measured.busy_s)
        for measured in rounds
        if measured.busy_s > 0
    ]
    pp, tt = sum(p * p for p, _ in columns), sum(t * t for _, t in columns)
    pt, p1, t1 = sum(p * t for p, t in columns), sum(p for p, _ in columns), sum(t for _, t in columns)
    determinant = pp * tt - pt * pt
    if determinant <= DISTINCT * pp * tt:
        return None
    a, b = (p1 * tt - t1 * pt) / determinant, (t1 * pp - p1 * pt) / determinant
    if b <= 0:  # the tokens of a pass take no time of their own: launches take all of it
        return float(MOST) if a > 0 else None
    return max(0.0, a / b)
