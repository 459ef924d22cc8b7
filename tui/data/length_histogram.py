"""Draws the distribution of row lengths as columns, with a line where rows are cut. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.wire.answers.data_messages import LengthBin
from tui.number_text import BLOCKS, format_short
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
    kept_bins = sum(length.tokens <= cut for length in bins)
    most_rows = max(1, *(length.rows for length in bins))
    lines = [
        _make_line(bins, kept_bins, most_rows, height, level, cells, look)
        for level in reversed(range(height))
    ]
    lines.append(_make_labels(bins, kept_bins, cut, cells, look))
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def measure_cut_share(bins: Sequence[LengthBin], cut: int) -> float:
    """Return the share of rows with more than ``cut`` tokens."""
    total = sum(length.rows for length in bins)
    return sum(length.rows for length in bins if length.tokens > cut) / total if total else 0.0


def _merge(bins: Sequence[LengthBin], room: int) -> list[LengthBin]:
    """Return no more bins than there are cells: neighbours are added up."""
    bins_merged = -(-len(bins) // room)
    groups = [bins[at : at + bins_merged] for at in range(0, len(bins), bins_merged)]
    return [LengthBin(group[-1].tokens, sum(length.rows for length in group)) for group in groups]


def _make_line(
    bins: Sequence[LengthBin],
    kept_bins: int,
    most_rows: int,
    height: int,
    level: int,
    cells: int,
    look: Palette,
) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for place, length in enumerate(bins):
        if place == kept_bins:
            line.append("│", style=look["warning"])
        eighths = max(bool(length.rows), round(8 * height * length.rows / most_rows)) - 8 * level
        full = "█" if place < kept_bins else CUT_FILL
        sign = " " if eighths <= 0 else full if eighths >= 8 else BLOCKS[eighths - 1]
        line.append(sign * cells, style=look["primary" if place < kept_bins else "warning"])
    if kept_bins == len(bins):
        line.append("│", style=look["warning"])
    return line


def _make_labels(bins: Sequence[LengthBin], kept_bins: int, cut: int, cells: int, look: Palette) -> Text:
    """Return the line below the columns: the shortest, the cut and the longest."""
    width = len(bins) * cells + 1
    first, mark, last = format_short(bins[0].tokens), f"│{format_short(cut)}", format_short(bins[-1].tokens)
    row = [" "] * max(width, kept_bins * cells + len(mark))
    row[: len(first)] = first
    if width - len(last) > kept_bins * cells + len(mark):
        row[width - len(last) : width] = last
    row[kept_bins * cells : kept_bins * cells + len(mark)] = mark
    return Text("".join(row), style=look["muted"], no_wrap=True, overflow="crop")
