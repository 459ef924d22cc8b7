"""Markdown from parts that may hold anything: what is data stays data."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from core.contract.text.sanitize import plain

_MARKS = re.compile(r"([\\`*_\[\]|~#!])")  # what Markdown would obey within a line
_NAME = re.compile(r"[\w./:,+()\[\]' -]*\w[\w./:,+()\[\]' -]*")
CELL = 600  # characters


def text(value: object, limit: int = CELL) -> str:
    """One line that is shown as it is: no markup, no HTML, no link of its own."""
    shown = plain(str(value), limit)
    shown = _MARKS.sub(r"\\\1", html.escape(shown, quote=False))
    return shown.replace("://", "&#58;//").replace("@", "&#64;")  # renderers make links of bare addresses


def code(value: object, limit: int = CELL) -> str:
    """One line of code, where it is plainly a name or a number; text else."""
    shown = plain(str(value), limit)
    return f"`{shown}`" if _NAME.fullmatch(shown) else text(shown, limit)


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already; nothing without lines."""
    body = [f"| {' | '.join(cells)} |" for cells in lines]
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}", *body, ""] if body else []
