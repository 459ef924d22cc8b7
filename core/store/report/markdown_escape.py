"""Escapes untrusted text for Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from core.contract.text.sanitize import sanitize

_MARKS = re.compile(r"([\\`*_\[\]|~#!])")  # characters with a meaning within a line of Markdown
_NAME = re.compile(r"[\w./:,+()\[\]' -]*\w[\w./:,+()\[\]' -]*")
CELL = 600  # characters


def escape(value: object, limit: int = CELL) -> str:
    """Return one line that renders literally: no markup, HTML or links."""
    escaped = sanitize(str(value), limit)
    escaped = _MARKS.sub(r"\\\1", html.escape(escaped, quote=False))
    return escaped.replace("://", "&#58;//").replace("@", "&#64;")  # renderers turn bare addresses into links


def escape_code(value: object, limit: int = CELL) -> str:
    """Return inline code if ``value`` is a plain name or number; else escaped text."""
    plain_text = sanitize(str(value), limit)
    return f"`{plain_text}`" if _NAME.fullmatch(plain_text) else escape(plain_text, limit)


def write_table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a table whose cells are Markdown already; empty without lines."""
    body = [f"| {' | '.join(cells)} |" for cells in lines]
    return [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}", *body, ""] if body else []
