"""How much of a device's time scoring may take while something trains on it. Pure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0


class Budget:
    """At most ``share`` of each window of a minute, and of the time since training began where that is less.
    While nothing trains, scoring costs nobody anything."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._since: float | None = None  # when training began
        self._spent: deque[tuple[float, float]] = deque()  # (when it ended, seconds), while something trains
        self._unit_s = 0.0  # what a unit took on average

    def allows(self, training: bool) -> bool:
        """May a unit of work be done now?"""
        now = self._clock()
        if not training:
            self._since = None
            self._spent.clear()
            return True
        if self._since is None:
            self._since = now
        while self._spent and self._spent[0][0] <= now - WINDOW_S:
            self._spent.popleft()
        window_s = min(WINDOW_S, now - self._since)
        return sum(took_s for _, took_s in self._spent) + self._unit_s <= self._share * window_s

    def spent(self, took_s: float) -> None:
        """A unit took so long."""
        self._unit_s = took_s if not self._unit_s else 0.7 * self._unit_s + 0.3 * took_s
        if self._since is not None:
            self._spent.append((self._clock(), took_s))
