"""Compares the throughput of different numbers of trials at once, from measured windows. Pure.

A window is some rounds with the same trials: tokens per round, seconds per round. Consecutive windows with
the same number of trials are a spell. Two numbers are compared only where a spell of one follows a spell of
the other within minutes, on the windows next to the change, because the load of a shared machine has changed
least there. If a side itself contains a jump, the windows beyond the jump are left out. A trend through both
sides is subtracted; its uncertainty is part of the interval.

Trials differ in their batches, so the tokens per round differ too. A line, round_s = a + b·tokens, is fitted
to the compared windows, and each window is moved along it to the same tokens per trial.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from core.evaluate.statistics.bootstrap import t_quantile

# a comparison is made only at these counts of windows of the later number
LOOKS = (3, 6, 12, 24, 60)
LEAST, MANY = LOOKS[0], LOOKS[-1]
NEAR_S = 300.0  # the longest gap between two compared spells, and between the windows of a spell
BESIDE_S = 120.0  # the distance from the change within which windows are compared
FEW = 12  # windows of each side that are compared regardless of their distance
DRIFT = 0.004  # of log(tokens/s) per second: a plausible change of load (a half in three minutes)
SPELLS = 64  # the number of newest spells that are kept
TAIL = 0.002  # of Student's t beyond each end of an interval
JUMP_TAIL = 0.0002  # the same for a jump within a side, where every position is tried
LEAST_SPREAD = 0.003  # of log(tokens/s): the precision of clocks


@dataclass(frozen=True)
class Window:
    """One measured window. ``at`` is in seconds, by a monotonic clock."""

    at: float
    trials: int
    tokens: int
    round_s: float


@dataclass
class Spell:
    """Consecutive windows with one number of trials: the first and the last ``MANY`` are kept."""

    trials: int
    number: int
    first: list[Window] = field(default_factory=list)
    last: deque[Window] = field(default_factory=lambda: deque(maxlen=MANY))
    count: int = 0

    def add(self, window: Window) -> None:
        """Add the next window."""
        if len(self.first) < MANY:
            self.first.append(window)
        self.last.append(window)
        self.count += 1


@dataclass(frozen=True)
class Gain:
    """log(rate of the larger number / rate of the smaller), with its interval."""

    mean: float
    low: float
    high: float
    rate: float  # tokens/s of the smaller, as last compared
    spread: float  # of log(tokens/s), from window to window


@dataclass(frozen=True)
class Level:
    """Tokens/s of one number's newest windows since the last jump."""

    rate: float
    spread: float
    windows: int


@dataclass(frozen=True)
class Pair:
    """One comparison: the difference, its variance and degrees of freedom."""

    gain: float
    variance: float
    freedom: int
    rate: float
    spread: float


class Windows:
    """The windows of one device."""

    def __init__(self) -> None:
        self._spells: deque[Spell] = deque(maxlen=SPELLS)
        self._begun = 0  # spells
        self._known: dict[
            tuple[int, int, int], Pair
        ] = {}  # by the numbers of two spells, and the count of windows compared
        self._gains: dict[tuple[int, int], Gain | None] = {}  # by smaller and larger number, a cache
        self._levels: dict[int, tuple[tuple[int, int], Level]] = {}  # by trials: (spell, its count), level

    def add(self, window: Window) -> None:
        """Add a window; windows come in time order."""
        now = self._spells[-1] if self._spells else None
        if now is None or now.trials != window.trials or abs(window.at - now.last[-1].at) > NEAR_S:
            self._begun += 1
            now = Spell(window.trials, self._begun)
            self._spells.append(now)
            oldest = self._spells[0].number
            self._known = {key: pair for key, pair in self._known.items() if key[0] >= oldest}
        now.add(window)
        if now.count == 1 or now.count in LOOKS:
            self._gains = {}

    @property
    def now(self) -> int:
        """Return the number of trials in the newest window; 0 before any."""
        return self._spells[-1].trials if self._spells else 0

    @property
    def comparable_numbers(self) -> set[int]:
        """Return the numbers with enough windows to compare."""
        return {spell.trials for spell in self._spells if spell.count >= LEAST}

    def level(self, trials: int) -> Level | None:
        """Return the recent throughput with ``trials`` at once; None before ``LEAST`` windows."""
        for spell in reversed(self._spells):
            if spell.trials == trials and spell.count >= LEAST:
                key = (spell.number, spell.count)
                if trials not in self._levels or self._levels[trials][0] != key:
                    self._levels[trials] = key, _measure_level(spell)
                return self._levels[trials][1]
        return None

    def gain(self, small: int, large: int) -> Gain | None:
        """Return by how much ``large`` at once is faster than ``small``; None if they were never close in
        time."""
        if (small, large) not in self._gains:
            self._gains[small, large] = self._compare_numbers(small, large)
        return self._gains[small, large]

    def _compare_numbers(self, small: int, large: int) -> Gain | None:
        pairs = list(self._list_pairs(small, large))
        if not pairs:
            return None
        mean, error = _combine(pairs)
        reach = error * t_quantile(TAIL, sum(pair.freedom for pair in pairs))
        return Gain(mean, mean - reach, mean + reach, pairs[-1].rate, pairs[-1].spread)

    def _list_pairs(self, small: int, large: int) -> Iterator[Pair]:
        before: Spell | None = None
        for spell in self._spells:
            if spell.trials not in (small, large) or spell.count < LEAST:
                continue
            if (
                before is not None
                and before.trials != spell.trials
                and spell.first[0].at - before.last[-1].at <= NEAR_S
            ):
                look = max(count for count in LOOKS if count <= spell.count)
                key = (before.number, spell.number, look)
                if key not in self._known:
                    self._known[key] = _make_pair(before, spell, look)
                yield self._known[key]
            before = spell


def cut_at_jump(logs: Sequence[float]) -> list[float]:
    """Return the values before the first jump; ``logs`` starts with the window nearest to the comparison."""
    values = list(logs)
    while len(values) > LEAST + 1:
        height, at = _find_jump(values)
        if height < t_quantile(JUMP_TAIL, len(values) - 2):
            break
        values = values[:at]
    return values


def _find_jump(logs: Sequence[float]) -> tuple[float, int]:
    """Return the largest jump: (Student's t of the values before against after, position)."""
    count, total = len(logs), sum(logs)
    squares = sum(value * value for value in logs)
    largest, left_sum = (0.0, count), logs[0]
    for at in range(2, count - 1):
        left_sum += logs[at - 1]
        right_sum = total - left_sum
        within = squares - left_sum * left_sum / at - right_sum * right_sum / (count - at)
        spread = max(LEAST_SPREAD, math.sqrt(max(0.0, within) / (count - 2)))
        apart = abs(left_sum / at - right_sum / (count - at))
        largest = max(largest, (apart / (spread * math.sqrt(1 / at + 1 / (count - at))), at))
    return largest


def _measure_level(spell: Spell) -> Level:
    logs = cut_at_jump([math.log(window.tokens / window.round_s) for window in reversed(spell.last)])
    return Level(math.exp(statistics.fmean(logs)), _measure_spread(logs), len(logs))


def _make_pair(before: Spell, after: Spell, look: int) -> Pair:
    change = after.first[0].at
    sides = [_select_near(list(reversed(before.last)), change), _select_near(after.first[:look], change)]
    rates = _list_log_rates(sides)
    used_rates = [cut_at_jump(side) for side in rates]
    times = [
        [window.at - change for window in side[: len(logs)]]
        for side, logs in zip(sides, used_rates, strict=True)
    ]
    step, variance, spread = _fit_step(used_rates, times)
    small = used_rates[0] if before.trials < after.trials else used_rates[1]
    gain = step if before.trials < after.trials else -step
    freedom = max(1, len(used_rates[0]) + len(used_rates[1]) - 3)
    return Pair(gain, variance, freedom, math.exp(statistics.fmean(small)), spread)


def _select_near(side: Sequence[Window], change: float) -> list[Window]:
    return [window for nth, window in enumerate(side) if nth < FEW or abs(window.at - change) <= BESIDE_S]


def _list_log_rates(sides: Sequence[Sequence[Window]]) -> list[list[float]]:
    """Return log(tokens/s) of each window, normalised to the same tokens per trial."""
    windows = [window for side in sides for window in side]
    tokens_per_trial = sum(window.tokens for window in windows) / sum(window.trials for window in windows)
    fixed_s, token_s = fit_line([(window.tokens, window.round_s) for window in windows])

    def log_rate(window: Window) -> float:
        normalised_s = (fixed_s + token_s * window.trials * tokens_per_trial) / (
            fixed_s + token_s * window.tokens
        )
        return math.log(window.trials * tokens_per_trial / (window.round_s * normalised_s))

    return [[log_rate(window) for window in side] for side in sides]


def _fit_step(
    logs: Sequence[Sequence[float]], times: Sequence[Sequence[float]]
) -> tuple[float, float, float]:
    """Return (step between two sides, its variance, the residual spread). The common trend is the
    least-squares slope, shrunk towards zero with ``DRIFT`` as its prior standard deviation."""
    means = [statistics.fmean(side) for side in logs]
    middles = [statistics.fmean(side) for side in times]
    points = [
        (at - middle, value - mean)
        for side, ats, mean, middle in zip(logs, times, means, middles, strict=True)
        for value, at in zip(side, ats, strict=True)
    ]
    along, across = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    freedom, inverse_counts = max(1, len(points) - 3), sum(1 / len(side) for side in logs)
    spread = max(LEAST_SPREAD, math.sqrt(sum(y * y for _, y in points) / freedom))
    for _ in range(2):  # the trend needs the spread, and the spread the trend
        steady = along + (spread / DRIFT) ** 2
        slope = across / steady
        spread = max(LEAST_SPREAD, math.sqrt(sum((y - slope * x) ** 2 for x, y in points) / freedom))
    apart = middles[1] - middles[0]
    return means[1] - means[0] - slope * apart, spread**2 * (inverse_counts + apart**2 / steady), spread


def _combine(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Return mean and standard error of several comparisons. If they differ by more than their windows
    explain, the load changed during some; that adds to the variance of each (DerSimonian and Laird 1986)."""
    weights = [1 / pair.variance for pair in pairs]
    mean = sum(w * pair.gain for w, pair in zip(weights, pairs, strict=True)) / sum(weights)
    if len(pairs) > 1:
        excess = sum(w * (pair.gain - mean) ** 2 for w, pair in zip(weights, pairs, strict=True))
        scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
        between = max(0.0, (excess - len(pairs) + 1) / scale)
        weights = [1 / (pair.variance + between) for pair in pairs]
        mean = sum(w * pair.gain for w, pair in zip(weights, pairs, strict=True)) / sum(weights)
    return mean, math.sqrt(1 / sum(weights))


def _measure_spread(logs: Sequence[float]) -> float:
    """Return the standard deviation; statistics.stdev computes with exact fractions and takes 20 times as
    long."""
    if len(logs) < 2:
        return LEAST_SPREAD
    mean = statistics.fmean(logs)
    return max(LEAST_SPREAD, math.sqrt(sum((value - mean) ** 2 for value in logs) / (len(logs) - 1)))


def fit_line(rounds: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return the a and b of round_s = a + b·tokens by least squares, both at least zero. If all token counts
    are equal, a is unknown and the line goes through zero."""
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
