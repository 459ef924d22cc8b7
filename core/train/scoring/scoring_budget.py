"""Limits how much of a device's time scoring may take while trials train. Pure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
LONGER = 1.25  # what a unit may last of the longest one known, without exceeding the share


class Budget:
    """Allows scoring at most ``share`` of each minute, or of the time since training began if that is less.

    While nothing trains, or with a share of 1, scoring is not limited. A unit is taken to last a quarter
    longer than the longest of the last minute: otherwise each unit that lasts longer would exceed the share.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._since: float | None = None  # when training began
        self._spent: deque[tuple[float, float]] = (
            deque()
        )  # (end time, seconds) of units that ran while something trained
        self._unit_s = 0.0  # average duration of a unit

    def allows(self, training: bool) -> bool:
        """Whether a unit of work may run now."""
        now = self._clock()
        if not training:
            self._since = None
            self._spent.clear()
            return True
        if self._since is None:
            self._since = now
        if self._share >= 1:
            return True
        while self._spent and self._spent[0][0] <= now - WINDOW_S:
            self._spent.popleft()
        window_s = min(WINDOW_S, now - self._since)
        spent = [took_s for _, took_s in self._spent]
        expected_s = max(self._unit_s, *spent, 0.0) * (LONGER if spent else 1.0)
        return sum(spent) + expected_s <= self._share * window_s

    def spend(self, took_s: float) -> None:
        """Record the duration of a unit."""
        self._unit_s = took_s if not self._unit_s else 0.7 * self._unit_s + 0.3 * took_s
        if self._since is not None:
            self._spent.append((self._clock(), took_s))
