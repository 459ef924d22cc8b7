"""A plot axis: positions of values, and round numbers as ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

TICKS = 5
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` (position 0) to ``high`` (position 1), linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], log: bool = False) -> Axis:
        """An axis that covers all ``values`` with a small margin."""
        known = list(values)
        low, high = min(known), max(known)
        if log:
            return cls(low / 1.1, high * 1.1, True)
        room = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
        return cls(low - room, high + room)

    def place(self, value: float) -> float:
        """The position of a value: 0 to 1 on the axis."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else 0.0
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """About five round numbers on the axis."""
        if self.log:
            return self._decades()
        step = _round((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]

    def _decades(self) -> list[float]:
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        every = max(1, math.ceil((last - first) / TICKS))
        return [10.0**power for power in range(first, last + 1, every)] or [self.low, self.high]


def _round(step: float) -> float:
    """The smallest round number that is at least ``step``."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(factor * power for factor in ROUND if factor * power >= step * (1 - 1e-9))


def label(value: float) -> str:
    """The short text of a tick."""
    if value == 0:
        return "0"
    for unit, size in UNITS:
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
