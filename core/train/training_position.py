"""A trial's position in training, and the checkpoint folder named after it."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"step-(\d+)\.(\d+)")


class Position(NamedTuple):
    """Completed steps, and all work ever done for the trial: micro-batches and evaluation batches."""

    step: int
    done: int

    @property
    def name(self) -> str:
        """The folder name of a checkpoint taken at this position."""
        return f"step-{self.step}.{self.done}"


def read(name: str) -> Position | None:
    """Parse the position from a folder name; None for any other name."""
    match = _NAME.fullmatch(name)
    return Position(int(match[1]), int(match[2])) if match else None
