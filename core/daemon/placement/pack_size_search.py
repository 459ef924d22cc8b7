"""Finds the number of trials at once that pays off on a device, from measured throughput. Pure.

The rule: start with 2, because one trial alone measures nothing about sharing, or with the number that paid
off earlier on this machine with this base. Measure the present number, then try twice as many. If that does
not pay off, go back and try one more.

A larger number pays off if each extra trial adds at least 5 % of the mean throughput per trial before it, and
if the difference is significant (an interval by Student's t). ``throughput_windows.py`` chooses the windows
to compare: at least 3 of each number, adjacent in time. On a quiet machine these 3 decide. On a noisy one the
larger number stays and measuring continues. It is rejected if the difference is clearly too small, or if 60
windows, or two minutes of them, could not show it. Then freed slots stay empty until the smaller number is
reached, which gives one more comparison. The larger number is tried again later, each time after twice as
long, or as soon as the windows vary half as much. All comparisons of two numbers are pooled. A number is not
tried while the windows vary so much that they could not show the most it can gain. A smaller number replaces
the present one if the present one is shown to be slower.

If no difference is shown, the smaller number is kept. On a CPU with few cores a round takes longer the more
trials are in it, so a larger pack that is not faster delays the first result and the first prune: if 4 trials
share what 2 could use, each takes twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.contract import input_size_limits
from core.daemon.placement.throughput_windows import BESIDE_S, FEW, MANY, Gain, Window, Windows

BEGIN = 2
MOST = 64
GAIN = 0.05  # of the mean throughput per trial at the smaller number
SHORTEST_S = 1e-6  # a plausible round is not shorter
EXACT = math.log(1.1)  # error of the mean, ±, below which the present number is known well enough to try more
SETTLED = 24  # windows that are enough for that on any machine
HOPELESS = 24  # windows after which a number that does not even look faster is rejected
REACH = 1.25  # of the spread: half the interval after the maximum number of windows
RETRY_S, RETRY_CLEAR_S = (
    300.0,
    1800.0,
)  # until a rejected number is tried again: after an unclear result, after a clear one
LONGEST_S = 86_400.0


@dataclass(frozen=True)
class Goal:
    """The number of trials to run at once, with the throughputs (tokens/s) that led to it; None: unknown."""

    number: int
    base: int | None = None  # the last number that paid off
    base_rate: float = 0.0
    before: int | None = None  # the smaller number it was compared with
    before_rate: float = 0.0
    refused: int | None = None  # a larger number that was rejected
    refused_rate: float = 0.0
    clear: bool = True  # clearly no gain; False: no difference could be shown
    spread: float = 0.0  # of the windows, relative to the throughput


@dataclass(frozen=True)
class Start:
    """The result of earlier studies: the number to start with, and larger ones that were rejected."""

    number: int = BEGIN
    refused: tuple[int, ...] = ()


@dataclass
class Refusal:
    """A rejected larger number: until when, its ``rate``, and the ``spread`` of the windows then."""

    until: float
    times: int
    rate: float
    clear: bool
    spread: float


class Growth:
    """Computes the goal from measured windows."""

    def __init__(self, start: Start | None = None) -> None:
        start = start or Start()
        self._windows = Windows()
        self._base = min(MOST, max(1, start.number))
        self._before: tuple[int, float] | None = None  # the smaller number, and log of the gain over it
        self._refusals: dict[tuple[int, int], Refusal] = {}  # by base and larger number
        self._learnt = start.refused
        self._latest: tuple[int, int] | None = None  # key of the latest refusal
        self._trying: int | None = None
        self._tried, self._since = 0, 0.0  # windows of the number being tried, and the time of the first
        self._now = -math.inf
        self.goal = Goal(self._base)

    @property
    def rejected_numbers(self) -> Mapping[int, float]:
        """Return the larger numbers that were rejected for the present one, with their tokens/s; 0:
        unknown."""
        return {
            large: refusal.rate for (base, large), refusal in self._refusals.items() if base == self._base
        }

    def add(self, trials: int, tokens: int, round_s: float, at: float = 0.0) -> None:
        """Add a window, measured until ``at``: rounds of ``tokens`` in ``round_s`` seconds with ``trials`` at
        once. Implausible values are ignored."""
        if not (
            trials >= 1
            and tokens >= 1
            and SHORTEST_S <= round_s <= input_size_limits.LONGEST_S
            and math.isfinite(at)
        ):
            return
        if not self._windows.now:
            self._now = at
            self._remember()
        self._now = max(at, self._now)
        self._windows.add(Window(self._now, trials, tokens, round_s))
        if trials == self._trying:
            self._since = self._since if self._tried else self._now
            self._tried += 1
        if trials > self._base and self._trying is None and self._windows.level(self._base) is None:
            self._base = min(MOST, trials)  # after an engine restart: keep the trials that run
        self._shrink()
        while self._grow():
            pass
        self.goal = self._make_goal()

    def _remember(self) -> None:
        for large in self._learnt:
            if large > self._base:
                self._refusals[self._base, large] = Refusal(self._now + RETRY_S, 1, 0.0, False, 0.0)

    # -- deciding ---------------------------------------------------------------------------------

    def _shrink(self) -> None:
        """Go to a smaller number if the present one is shown to be slower, or never paid off and still does
        not."""
        for small in sorted(number for number in self._windows.comparable_numbers if number < self._base):
            gain = self._windows.gain(small, self._base)
            least = 0.0 if self._before is not None else find_needed_gain(small, self._base)
            if gain is not None and gain.high < least:
                large, self._base, self._before, self._trying = self._base, small, None, None
                self._refuse(large, gain, clear=True)
                return

    def _grow(self) -> bool:
        """Try a larger number, or decide about the present attempt; True if the next one may start at
        once."""
        if self._trying is None:
            self._trying, self._tried = self._find_next() if self._is_known() else None, 0
            return False
        large, gain = self._trying, self._windows.gain(self._base, self._trying)
        if (
            gain is not None
            and gain.low > 0
            and gain.mean >= find_needed_gain(self._base, large)
            and _is_conclusive(gain, self._base, large)
        ):
            self._before, self._base, self._trying = (self._base, gain.mean), large, None
            self._latest = None
            return True
        if gain is not None and gain.high < find_needed_gain(self._base, large):
            self._refuse(large, gain, clear=True)
        elif self._is_in_vain(gain):
            self._refuse(large, gain, clear=False)
        return False

    def _is_in_vain(self, gain: Gain | None) -> bool:
        """Tell whether the attempt had enough windows to show a gain, but did not."""
        late = self._tried >= FEW and self._now - self._since > BESIDE_S
        return (
            self._tried >= MANY or late or (gain is not None and self._tried >= HOPELESS and gain.mean <= 0)
        )

    def _is_known(self) -> bool:
        """Tell whether the present number is measured well enough."""
        level = self._windows.level(self._base)
        if self._windows.now != self._base or level is None:
            return False
        return level.windows >= SETTLED or 2 * level.spread / math.sqrt(level.windows) <= EXACT

    def _find_next(self) -> int | None:
        """Return the larger number to try next: twice as many, else one more; a rejected one when it is
        due."""
        double, one_more = min(MOST, 2 * self._base), min(MOST, self._base + 1)
        numbers = [
            number
            for number in dict.fromkeys((double, one_more))
            if number > self._base and self._can_show(number)
        ]
        fresh = [number for number in numbers if (self._base, number) not in self._refusals]
        due = [number for number in numbers if number not in fresh and self._is_due(number)]
        return next(iter([*fresh, *due]), None)

    def _can_show(self, large: int) -> bool:
        """Tell whether the windows could show the largest possible gain of ``large``."""
        level = self._windows.level(self._base)
        return level is not None and REACH * level.spread <= math.log(large / self._base)

    def _is_due(self, large: int) -> bool:
        refusal, level = self._refusals[self._base, large], self._windows.level(self._base)
        calmer = level is not None and level.windows >= SETTLED and 2 * level.spread <= refusal.spread
        return self._now >= refusal.until or (calmer and not refusal.clear)

    def _refuse(self, large: int, gain: Gain | None, clear: bool) -> None:
        key = (self._base, large)
        times = self._refusals[key].times + 1 if key in self._refusals else 1
        wait = min(LONGEST_S, (RETRY_CLEAR_S if clear else RETRY_S) * 2 ** min(times - 1, 16))
        level = self._windows.level(large)
        rate = gain.rate * math.exp(gain.mean) if gain is not None else level.rate if level else 0.0
        spread = gain.spread if gain is not None else level.spread if level else 0.0
        self._refusals[key] = Refusal(self._now + wait, times, rate, clear, spread)
        self._latest, self._trying = key, None

    # -- the goal ---------------------------------------------------------------------------------

    def _make_goal(self) -> Goal:
        number, level = self._trying or self._base, self._windows.level(self._base)
        if level is None:
            return Goal(number)
        large = self._latest[1] if self._latest is not None and self._latest[0] == self._base else None
        refusal = self._refusals[self._base, large] if large is not None else None
        pair_gain = self._windows.gain(self._base, large) if large is not None else None
        rate = pair_gain.rate if pair_gain is not None else level.rate
        before, earlier_gain = self._before or (None, 0.0)
        return Goal(
            number, self._base, rate, before, rate / math.exp(earlier_gain) if before else 0.0,
            large, refusal.rate if refusal else 0.0, refusal.clear if refusal else True, level.spread,
        )  # fmt: skip


def _is_conclusive(gain: Gain, small: int, large: int) -> bool:
    """Tell whether the interval is at most as wide as the largest possible gain."""
    return gain.high - gain.mean <= math.log(large / small)


def find_needed_gain(small: int, large: int) -> float:
    """Return the log of the gain from which the larger number pays off."""
    return math.log1p(GAIN * (large - small) / small)
