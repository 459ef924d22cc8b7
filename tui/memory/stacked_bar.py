"""A stacked bar with marks under it, and its legend. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from core.contract.text.byte_sizes import format_bytes
from tui.memory.bar_segments import Share
from tui.theme_colors import Palette

FREE, MARK = "·", "┃"
SMALLEST = 0.25  # of a cell; what is smaller stands in the legend alone
COLUMN = 36  # cells that a column of a legend may do with: longer words are cut
GAP = 2  # cells between the columns of a legend


@dataclass(frozen=True)
class Mark:
    """A line through the bar, with words under it."""

    at_bytes: int
    text: str
    meaning: str


def find_scale(shares: Sequence[Share], total_bytes: int, marks: Sequence[Mark] = ()) -> int:
    """Return the bytes of the whole width: the device's, or more if more is requested."""
    requested = sum(share.used_bytes for share in shares)
    return max(1, total_bytes, requested, *(mark.at_bytes for mark in marks))


def count_cells(shares: Sequence[Share], full_bytes: int, width: int) -> list[int]:
    """Cells of each share, in proportion; none that is worth a quarter of a cell, and no trial, vanishes."""
    exact = [share.used_bytes / full_bytes * width for share in shares]
    has_bytes = [
        cells >= SMALLEST or (cells > 0 and share.of_trial)
        for cells, share in zip(exact, shares, strict=True)
    ]
    sizes = [max(1, int(cells)) if is_shown else 0 for cells, is_shown in zip(exact, has_bytes, strict=True)]
    cells_wanted = min(width, round(sum(exact)))
    while sum(sizes) < cells_wanted and any(sizes):
        place = max(range(len(sizes)), key=lambda at: exact[at] - sizes[at])
        sizes[place] += 1
    while sum(sizes) > max(cells_wanted, sum(has_bytes)) or sum(sizes) > width:
        place = max(range(len(sizes)), key=sizes.__getitem__)
        sizes[place] -= 1
    return sizes


def draw_bar(
    shares: Sequence[Share], total_bytes: int, marks: Sequence[Mark], width: int, look: Palette, rows: int = 1
) -> list[Text]:
    """``rows`` lines of the bar, the letters in the first, and a line with the marks' words if any."""
    full_bytes = find_scale(shares, total_bytes, marks)
    shown_shares = merge_trials(shares) if _is_crowded(shares, full_bytes, width) else list(shares)
    cells = _make_cells(shown_shares, count_cells(shown_shares, full_bytes, width), width)
    at: dict[int, Mark] = {}
    for mark in marks:  # the first one wins a cell
        at.setdefault(_find_cell(mark.at_bytes, full_bytes, width), mark)
    lines = [_make_row(cells, at, row > 0, look) for row in range(rows)]
    return [*lines, _put_in_words(at, width, look)] if marks else lines


def _is_crowded(shares: Sequence[Share], full_bytes: int, width: int) -> bool:
    """Would a cell for each trial make the trials look much larger than they are?"""
    own = [share.used_bytes for share in shares if share.of_trial]
    return len(own) > max(width // 8, sum(own) / full_bytes * width)


def _find_cell(at_bytes: int, full_bytes: int, width: int) -> int:
    return max(0, min(width - 1, int(at_bytes / full_bytes * width)))


def _make_cells(shares: Sequence[Share], sizes: Sequence[int], width: int) -> list[tuple[str, str, str]]:
    """Each cell as (character of the first row, pattern, meaning); free ones have no meaning."""
    cells: list[tuple[str, str, str]] = []
    for share, count in zip(shares, sizes, strict=True):
        name = share.letter if len(share.letter) <= count else share.letter[-count:] if count else ""
        text = name.ljust(count, share.pattern)
        cells += [(text[cell], share.pattern, share.meaning) for cell in range(count)]
    return cells + [(FREE, FREE, "")] * (width - len(cells))


def _make_row(cells: Sequence[tuple[str, str, str]], at: dict[int, Mark], lower: bool, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for place, (first, pattern, meaning) in enumerate(cells):
        if place in at:
            line.append(MARK, style=f"bold {look[at[place].meaning]}")
        elif meaning:
            line.append(pattern if lower else first, style=f"{look[meaning]} reverse")
        else:
            line.append(FREE, style=look["muted"])
    return line


def _put_in_words(at: dict[int, Mark], width: int, look: Palette) -> Text:
    """Next to each mark its words: right of the last one, left of the others, or where there is room."""
    line = Text(" " * width, no_wrap=True, overflow="crop")
    used_ranges: list[range] = []
    for place, mark in at.items():
        right = (place, f"╹{mark.text}")
        left = (place - len(mark.text), f"{mark.text}╹")
        for start, text in (right, left) if place == max(at) else (left, right):
            cells = range(start - 1, start + len(text) + 1)
            if (
                start < 0
                or start + len(text) > width
                or any(set(cells) & set(used_range) for used_range in used_ranges)
            ):
                continue
            used_ranges.append(cells)
            line.plain = line.plain[:start] + text + line.plain[start + len(text) :]
            line.stylize(look[mark.meaning], start, start + len(text))
            break
    return line


def merge_trials(shares: Sequence[Share]) -> list[Share]:
    """All trials as one share, where there is no room for each."""
    trials = [share for share in shares if share.of_trial]
    if len(trials) < 2:
        return list(shares)
    first = shares.index(trials[0])
    label = f"{len(trials)} trials, #{trials[0].letter} to #{trials[-1].letter}"
    all_trials = replace(
        trials[0], letter="#", label=label, used_bytes=sum(trial.used_bytes for trial in trials)
    )
    return [*shares[:first], all_trials, *(trial for trial in shares[first:] if trial not in trials)]


def draw_legend(shares: Sequence[Share], width: int, most: int, look: Palette) -> list[Text]:
    """Letter, words and size of each share, in as many columns as fit; at most ``most`` lines."""
    lines = _make_columns(list(shares), width, look)
    return lines if len(lines) <= most else _make_columns(merge_trials(shares), width, look)


def _make_columns(shares: list[Share], width: int, look: Palette) -> list[Text]:
    if not shares:
        return []
    sizes = [format_bytes(share.used_bytes) for share in shares]
    mark = max(len(share.letter) for share in shares)
    wide = [len(share.label) + len(size) for share, size in zip(shares, sizes, strict=True)]
    column_width = min(width, mark + 2 + max(wide), max(COLUMN, mark + 2 + sorted(wide)[len(wide) // 2]))
    count = max(1, (width + GAP) // (column_width + GAP))
    column_width = min(mark + 6 + max(wide), (width - GAP * (count - 1)) // count)
    rows = -(-len(shares) // count)
    lines = []
    for row in range(rows):
        line = Text(no_wrap=True, overflow="ellipsis")
        for place in range(row, len(shares), rows):
            if place != row:
                line.append(" " * GAP)
            line.append_text(_make_entry(shares[place], sizes[place], mark, column_width, look))
        lines.append(line)
    return lines


def _make_entry(share: Share, size: str, mark: int, width: int, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(
        share.letter.center(mark), style=f"{look[share.meaning]} reverse" if share.meaning else look["muted"]
    )
    label = Text(f" {share.label}", style=look["muted"])
    label.truncate(width - mark - len(size) - 1, overflow="ellipsis", pad=True)
    line.append_text(label)
    line.append(f" {size}")
    return line
