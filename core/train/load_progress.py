"""How long waits are told: stage, done, total (0: not known) and the unit of both."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]


def silent(stage: str, done: int, total: int, unit: str) -> None:
    """Tells nobody."""
