"""Where a trial stands, and the name of its checkpoint there."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"step-(\d+)\.(\d+)")


class Position(NamedTuple):
    """Whole steps, and everything that was ever done for it: micro-batches and batches of evaluations."""

    step: int
    done: int

    @property
    def name(self) -> str:
        """The folder of a checkpoint taken here."""
        return f"step-{self.step}.{self.done}"


def read(name: str) -> Position | None:
    """The position that a folder is named after; None for any other name."""
    found = _NAME.fullmatch(name)
    return Position(int(found[1]), int(found[2])) if found else None
