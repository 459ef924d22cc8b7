"""How many trials at once are worth it on a device, from what was measured. Pure.

The rule: begin with 2, for a trial alone measures nothing about sharing, and double. A larger number pays
when each place more brings at least 5 % of what a place brought on average before. When a doubling does not
pay, go on one by one from the last number that paid, and stop at the first that does not.

Trials differ in their batches, so the tokens in a round differ too. A line, round_s = a + b·tokens, is fitted
to all rounds by least squares, and each number's rounds are moved along it to the same tokens per trial
before they are compared: what counts is the number of trials and not which trials they were.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

BEGIN = 2
MOST = 64
GAIN = 0.05  # of the mean rate of the places before
SHORTEST_S = 1e-6  # no round is shorter
KEPT = 8  # rounds of each number, the newest: the best of them counts, for what disturbs only slows


@dataclass(frozen=True)
class Goal:
    """How many at once, from the rates (tokens/s) of ``base`` and the numbers beside it; None: not known."""

    number: int
    base: int | None = None  # the last number that paid
    base_rate: float = 0.0
    before: int | None = None  # what it was compared with
    before_rate: float = 0.0
    refused: int | None = None  # a larger number that did not pay
    refused_rate: float = 0.0


class Growth:
    """Takes measured rounds, says the goal."""

    def __init__(self) -> None:
        self._rounds: dict[int, deque[tuple[int, float]]] = {}  # by trials: tokens, seconds
        self._paid: set[int] = set()
        self.goal = Goal(BEGIN)

    def add(self, trials: int, tokens: int, round_s: float) -> None:
        """A round of ``tokens`` in ``round_s`` seconds with ``trials`` at once; nonsense is passed over."""
        if trials >= 1 and tokens >= 1 and SHORTEST_S <= round_s < math.inf:
            self._rounds.setdefault(trials, deque(maxlen=KEPT)).append((tokens, round_s))
            self.goal = self._walk(self.rates())

    def rates(self) -> dict[int, float]:
        """Tokens per second by number of trials, all at the mean tokens per trial."""
        rounds = [one for kept in self._rounds.values() for one in kept]
        places = sum(trials * len(kept) for trials, kept in self._rounds.items())
        each = sum(tokens for tokens, _ in rounds) / max(1, places)
        fixed_s, token_s = line(rounds)

        def rate(trials: int, tokens: int, round_s: float) -> float:
            moved = (fixed_s + token_s * trials * each) / (fixed_s + token_s * tokens)
            return trials * each / (round_s * moved)

        return {trials: max(rate(trials, *one) for one in kept) for trials, kept in self._rounds.items()}

    def _walk(self, rates: dict[int, float]) -> Goal:
        """From the smallest number that was measured as far up as it pays."""
        base, before, refused = min(rates), None, None
        while True:
            number = min(MOST, 2 * base if refused is None else base + 1)
            if number in (base, refused):
                return self._goal(base, base, before, refused, rates)
            if number not in rates:
                return self._goal(number, base, before, refused, rates)
            if self._pays(rates, base, number):
                base, before = number, base
            elif refused is not None or number == base + 1:
                return self._goal(base, base, before, number, rates)
            else:
                refused = number

    def _pays(self, rates: dict[int, float], base: int, number: int) -> bool:
        """What paid once stays worth it while it is not slower: readings waver, the number should not."""
        gain = rates[number] / rates[base] - 1
        pays = gain >= (0 if number in self._paid else GAIN * (number - base) / base)
        if pays:
            self._paid.add(number)
        else:
            self._paid.discard(number)
        return pays

    @staticmethod
    def _goal(
        number: int, base: int, before: int | None, refused: int | None, rates: dict[int, float]
    ) -> Goal:
        return Goal(
            number, base, rates[base], before, rates.get(before or 0, 0.0),
            refused, rates.get(refused or 0, 0.0),
        )  # fmt: skip


def line(rounds: list[tuple[int, float]]) -> tuple[float, float]:
    """The a and b of round_s = a + b·tokens by least squares, none below zero. One number of tokens alone
    says nothing of a: the line then goes through zero."""
    count = max(1, len(rounds))
    mean_tokens = sum(tokens for tokens, _ in rounds) / count
    mean_s = sum(seconds for _, seconds in rounds) / count
    spread = sum((tokens - mean_tokens) ** 2 for tokens, _ in rounds)
    if not spread:
        return 0.0, 1.0
    slope = sum((tokens - mean_tokens) * (seconds - mean_s) for tokens, seconds in rounds) / spread
    if slope < 0:
        return mean_s, 0.0
    fixed = mean_s - slope * mean_tokens
    if fixed < 0:
        return 0.0, sum(t * seconds for t, seconds in rounds) / sum(t * t for t, _ in rounds)
    return fixed, slope
