"""When a pack is due to be kept: after so many steps of one of its trials, or so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Cadence:
    """``steps`` and ``seconds`` between two checkpoints of the whole pack; 0: not for that reason."""

    def __init__(self, steps: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds, self._clock = steps, seconds, clock
        self._kept: dict[int, int] = {}  # the step of each trial when the pack was last kept
        self._kept_at = clock()

    def join(self, trial: int, step: int) -> None:
        """Count a trial's steps from here."""
        self._kept[trial] = step

    def due(self, steps: Mapping[int, int]) -> bool:
        """Is the pack, with its trials at ``steps``, to be kept now? Once yes, the count begins anew."""
        every = self._steps
        far = every and any(step // every > self._kept[one] // every for one, step in steps.items())
        late = self._seconds and self._clock() - self._kept_at >= self._seconds
        if not (far or late):
            return False
        self._kept, self._kept_at = dict(steps), self._clock()
        return True
