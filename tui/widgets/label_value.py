"""A name at the left and its value at the right of one line."""

from __future__ import annotations

from rich.text import Text

LONGEST = 44  # cells; farther apart the eye loses the line


def format_pair(name: Text, value: Text, width: int) -> Text:
    """``name`` and ``value`` in one line of ``width`` cells; the name gives way, never the value."""
    room = min(width, LONGEST)
    text = value.copy()
    text.truncate(room - 4, overflow="ellipsis")
    pair_text = name.copy()
    pair_text.truncate(room - text.cell_len - 1, overflow="ellipsis")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append_text(pair_text)
    line.append(" " * (room - pair_text.cell_len - text.cell_len))
    line.append_text(text)
    return line
