"""The way to a screen, such as "studies › tidy-7b › trial 12", in the width that there is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from core.contract.text.sanitize import sanitize
from tui.theme_colors import Palette

BETWEEN, LEFT_OUT = " › ", "…"
SHORTEST_NAME = 8  # cells of a study's name before it disappears


def fit(root: str, crumbs: Sequence[str], width: int) -> list[str]:
    """Return the parts of ``root`` and ``crumbs`` that ``width`` cells have room for.

    The last part never gives way. What stands between it and the study becomes "…" first, then the root goes,
    then the study's name is cut.
    """
    parts, start = [sanitize(part, 60) for part in crumbs], [sanitize(root, 40)] if root else []
    short = [parts[0], LEFT_OUT, parts[-1]] if len(parts) > 2 else parts
    for candidate in ([*start, *parts], [*start, *short], parts, short):
        if cell_len(BETWEEN.join(candidate)) <= width:
            return candidate
    room = width - cell_len(BETWEEN + parts[-1])
    fits = len(parts) > 1 and room >= SHORTEST_NAME
    return [sanitize(parts[0], room), parts[-1]] if fits else parts[-1:]


def draw(root: str, crumbs: Sequence[str], width: int, look: Palette) -> Text:
    """Return the way as text; its end is what the screen shows."""
    *before, last = fit(root, crumbs, width)
    line = Text(no_wrap=True, overflow="ellipsis")
    for part in before:
        line.append(f"{part}{BETWEEN}", style=look["muted"])
    line.append(last, style="bold")
    return line
