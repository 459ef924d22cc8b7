"""The callback that reports the progress of slow stages: stage, done, total (0: unknown), unit of both."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]


def report_nothing(stage: str, done: int, total: int, unit: str) -> None:
    """Report nothing."""
