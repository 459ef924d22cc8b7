"""Decides when a pack is checkpointed: after a number of steps of any trial, or of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class CheckpointSchedule:
    """Checkpoints the whole pack every ``steps`` or ``seconds``; 0 turns either off."""

    def __init__(self, steps: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds, self._clock = steps, seconds, clock
        self._kept: dict[int, int] = {}  # each trial's step at the last checkpoint
        self._kept_at = clock()

    def join(self, trial: int, step: int) -> None:
        """Start counting a trial's steps."""
        self._kept[trial] = step

    def due(self, steps: Mapping[int, int]) -> bool:
        """Whether the pack, with its trials at ``steps``, must be checkpointed now; if so, restarts the
        count."""
        every = self._steps
        far = every and any(step // every > self._kept[number] // every for number, step in steps.items())
        late = self._seconds and self._clock() - self._kept_at >= self._seconds
        if not (far or late):
            return False
        self._kept, self._kept_at = dict(steps), self._clock()
        return True
