"""Draws the distribution of row lengths as columns, with a line where rows are cut. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.wire.dataset.data_messages import LengthBin
from tui.number_text import BLOCKS, short
from tui.theme_colors import Palette

WIDEST = 4  # cells of a column
CUT_FILL = "▒"  # of the columns of rows that are cut


def draw_lengths(bins: Sequence[LengthBin], cut: int, width: int, height: int, look: Palette) -> Text:
    """Return ``height`` lines of columns and one of labels; rows right of the line have more tokens than
    ``cut``."""
    if not bins or width < 8 or height < 1:
        return Text()
    bins = _merge(bins, width - 1)
    cells = max(1, min(WIDEST, (width - 1) // len(bins)))
    kept = sum(length.tokens <= cut for length in bins)
    most = max(1, *(length.rows for length in bins))
    lines = [_line(bins, kept, most, height, level, cells, look) for level in reversed(range(height))]
    lines.append(_labels(bins, kept, cut, cells, look))
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def share_cut(bins: Sequence[LengthBin], cut: int) -> float:
    """Return the share of rows with more than ``cut`` tokens."""
    total = sum(length.rows for length in bins)
    return sum(length.rows for length in bins if length.tokens > cut) / total if total else 0.0


def _merge(bins: Sequence[LengthBin], room: int) -> list[LengthBin]:
    """Return no more bins than there are cells: neighbours are added up."""
    every = -(-len(bins) // room)
    groups = [bins[at : at + every] for at in range(0, len(bins), every)]
    return [LengthBin(group[-1].tokens, sum(length.rows for length in group)) for group in groups]


def _line(
    bins: Sequence[LengthBin], kept: int, most: int, height: int, level: int, cells: int, look: Palette
) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for place, length in enumerate(bins):
        if place == kept:
            line.append("│", style=look["warning"])
        eighths = max(bool(length.rows), round(8 * height * length.rows / most)) - 8 * level
        full = "█" if place < kept else CUT_FILL
        sign = " " if eighths <= 0 else full if eighths >= 8 else BLOCKS[eighths - 1]
        line.append(sign * cells, style=look["primary" if place < kept else "warning"])
    if kept == len(bins):
        line.append("│", style=look["warning"])
    return line


def _labels(bins: Sequence[LengthBin], kept: int, cut: int, cells: int, look: Palette) -> Text:
    """Return the line below the columns: the shortest, the cut and the longest."""
    width = len(bins) * cells + 1
    first, mark, last = short(bins[0].tokens), f"│{short(cut)}", short(bins[-1].tokens)
    row = [" "] * max(width, kept * cells + len(mark))
    row[: len(first)] = first
    if width - len(last) > kept * cells + len(mark):
        row[width - len(last) : width] = last
    row[kept * cells : kept * cells + len(mark)] = mark
    return Text("".join(row), style=look["muted"], no_wrap=True, overflow="crop")
