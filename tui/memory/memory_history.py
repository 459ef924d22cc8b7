"""The history of a device's memory in braille, with the limit as a dotted line. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from rich.text import Text

from core.contract.text.byte_sizes import format_bytes
from tui.charts.braille_canvas import Canvas
from tui.theme_colors import Palette

AXIS = 9  # cells for the labels: "79.6 GiB "
USED, LIMIT = 0, 1


def draw_history(
    used: Sequence[float | None],
    total_bytes: int,
    limit_bytes: int | None,
    size: tuple[int, int],
    look: Palette,
) -> list[Text]:
    """``size`` (width, height) in cells. ``used`` are fractions of the device, oldest first, newest at the
    right edge; a missing reading leaves a gap."""
    width, height = size
    if width < AXIS + 8 or height < 2 or total_bytes <= 0:
        return []
    if not any(share is not None for share in used):
        return [Text("no history yet", style=look["muted"])]
    canvas = Canvas(width - AXIS - 1, height)
    if limit_bytes is not None:
        _draw_dots(canvas, limit_bytes / total_bytes)
    _draw_curve(canvas, list(used)[-2 * canvas.width :])
    labels = {0: format_bytes(total_bytes), height - 1: "0"}
    return [_make_row(cells, labels.get(row, ""), look) for row, cells in enumerate(canvas.list_rows())]


def _find_level(share: float, canvas: Canvas) -> int:
    """The dot's row of a fraction, from above."""
    return round((1 - min(1.0, max(0.0, share))) * (4 * canvas.height - 1))


def _draw_curve(canvas: Canvas, used: Sequence[float | None]) -> None:
    start = 2 * canvas.width - len(used)
    before: tuple[int, int] | None = None
    for place, share in enumerate(used):
        if share is None or not math.isfinite(share):
            before = None
            continue
        point = (start + place, _find_level(share, canvas))
        canvas.draw_line(*(before or point), *point, USED)
        before = point


def _draw_dots(canvas: Canvas, share: float) -> None:
    for x in range(0, 2 * canvas.width, 4):
        canvas.draw_dot(x, _find_level(share, canvas), LIMIT)


def _make_row(cells: list[tuple[str, int]], label: str, look: Palette) -> Text:
    line = Text(f"{label:>{AXIS - 1}} │", style=look["muted"], no_wrap=True)
    for owner, run in groupby(cells, key=lambda cell: cell[1]):
        colour = look["limit"] if owner == LIMIT else look["primary"] if owner == USED else ""
        line.append("".join(character for character, _ in run), style=colour)
    return line
