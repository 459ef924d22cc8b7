"""A plot's axis, linear or logarithmic: positions of values from 0 to 1, and round numbers as ticks. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

NICE = (1.0, 2.0, 2.5, 5.0, 10.0)  # a tick's distance is one of these times a power of ten
SLACK = 1e-9  # of the axis: rounding that may push an end's value off it


@dataclass(frozen=True)
class AxisScale:
    """An axis from ``low`` (position 0) to ``high`` (position 1); both are above 0 where it is ``log``."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], log: bool = False) -> AxisScale:
        """Return an axis from the lowest to the highest value, or around the value if there is only one."""
        numbers = list(values)
        low, high = min(numbers), max(numbers)
        first, last = (math.log10(low), math.log10(high)) if log else (low, high)
        if last - first >= 1e-12 * max(1.0, abs(last)):
            return cls(low, high, log)
        pad = abs(last) * 0.05 or 0.5
        return cls(10 ** (first - pad), 10 ** (last + pad), True) if log else cls(low - pad, high + pad)

    def find_position(self, value: float) -> float:
        """Return the position of a value, 0 to 1; values beyond an end are at that end."""
        return min(1.0, max(0.0, self._find_share(value)))

    def find_positions(self, values: Iterable[float]) -> list[float]:
        """Return the positions of many values of the axis, all above 0 if it is logarithmic. Fast."""
        low, high = self._ends
        length = high - low
        return [(value - low) / length for value in (map(math.log10, values) if self.log else values)]

    def contains(self, value: float) -> bool:
        """Tell whether a value is between the ends."""
        return -SLACK <= self._find_share(value) <= 1 + SLACK

    def find_value(self, position: float) -> float:
        """Return the value at a position."""
        low, high = self._ends
        at = low + position * (high - low)
        return 10.0**at if self.log else at

    def list_ticks(self, most: int) -> list[float]:
        """Return about ``most`` round values.

        On a logarithmic axis these are the powers of ten, or round values if there are fewer than two powers.
        """
        if not self.log:
            return _round_values(self.low, self.high, most)
        low, high = self._ends
        powers = [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
        if len(powers) > 1:
            return powers
        return [value for value in _round_values(self.low, self.high, most) if value > 0]

    @cached_property
    def _ends(self) -> tuple[float, float]:
        return (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)

    def _find_share(self, value: float) -> float:
        low, high = self._ends
        if self.log:
            value = math.log10(value) if value > 0 else -math.inf
        return (value - low) / (high - low)


def _round_values(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in NICE if nice * power >= rough * 0.999)
    first, last = math.ceil(low / step - SLACK), math.floor(high / step + SLACK)
    return [place * step for place in range(first, last + 1)]


def thin_out(ticks: list[float], most: int) -> list[float]:
    """Return every second tick, or third and so on, so that about ``most`` remain."""
    return ticks[:: max(1, math.ceil((len(ticks) - 1) / most))]
