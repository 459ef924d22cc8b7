"""A name at the left and its value at the right of one line."""

from __future__ import annotations

from rich.text import Text

LONGEST = 44  # cells; farther apart the eye loses the line


def pair(name: Text, value: Text, width: int) -> Text:
    """``name`` and ``value`` in one line of ``width`` cells; the name gives way, never the value."""
    room = min(width, LONGEST)
    shown = value.copy()
    shown.truncate(room - 4, overflow="ellipsis")
    left = name.copy()
    left.truncate(room - shown.cell_len - 1, overflow="ellipsis")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append_text(left)
    line.append(" " * (room - left.cell_len - shown.cell_len))
    line.append_text(shown)
    return line
