"""Words that are longer than a line, folded into several. Pure."""

from __future__ import annotations

import textwrap

from rich.text import Text

from core.contract.text.sanitize import sanitize

LONGEST = 600  # characters of one message


def wrap_text(text: str, width: int, style: str, sign: str = "") -> list[Text]:
    """``text`` from outside in lines of ``width`` cells; ``sign`` stands before the first, the others are
    indented by as much."""
    rows = textwrap.wrap(sanitize(text, LONGEST), max(8, width - len(sign))) or [""]
    return [
        Text((sign if place == 0 else " " * len(sign)) + row, style=style, no_wrap=True, overflow="ellipsis")
        for place, row in enumerate(rows)
    ]
