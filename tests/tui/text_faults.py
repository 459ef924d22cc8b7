"""General faults of a screen's text: broken frames, cut words and numbers, internal words, no footer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

SIDES = "│┃▐▌█▁▂▃▄▅▆▇"  # a frame's side, or the scroll bar that stands on it
INTERNAL = re.compile(r"\bNone\b|Traceback|<[a-z_]+ object|\{[a-z_]+\}|Score\(|\\x1b")
LAST = re.compile(r"([\w.:+-]+)(?:\s?[│▐▌█])?$")  # the last word of a line that ends at an edge


def list_faults(lines: Sequence[str], wide: Sequence[str], over: bool) -> list[str]:
    """Return what is wrong with the lines of a screen, which are all equally wide; ``wide`` are those of the
    same screen with more room. A dialog stands ``over`` another screen, whose frames it covers."""
    lines, wide = [_cells(line) for line in lines], [_cells(line) for line in wide]
    found = [*_internal(lines)]
    if not over:
        found += [*_frames(lines), *_cuts(lines, wide), *_footer(lines)]
    return found


def _cells(line: str) -> str:
    """Return the line with a character for each cell."""
    return "".join(mark + "\0" * (cell_len(mark) - 1) for mark in line)


def _frames(lines: Sequence[str]) -> Iterator[str]:
    """A frame's sides stand below its corners down to its foot, or to the end of a page that scrolls."""
    for row, line in enumerate(lines):
        for left in (at for at, mark in enumerate(line) if mark == "╭"):
            right = line.find("╮", left)
            feet = (at for at in range(row + 1, len(lines)) if lines[at][left] == "╰")
            foot = next(feet, None)
            open_end = foot is None and lines[-2][left : left + 1] in SIDES
            if open_end or (foot is None and row == len(lines) - 2):
                foot = len(lines) - 1
            if right < 0 or foot is None or (foot < len(lines) - 1 and lines[foot][right] != "╯"):
                yield f"line {row}: the frame at column {left} is not closed"
                continue
            for at in range(row + 1, foot):
                if lines[at][left] not in SIDES or lines[at][right] not in SIDES:
                    yield f"line {at}: a side of the frame at column {left} is broken: {lines[at]!r}"
                    break


def _cuts(lines: Sequence[str], wide: Sequence[str]) -> Iterator[str]:
    """A word or number in the last cell that is only the beginning of one where there is more room is cut
    without an ellipsis."""
    whole = {word for line in wide for word in re.findall(r"[\w.:+-]+", line)}
    for row, line in enumerate(lines):
        found = LAST.search(line.removesuffix(" "))  # pages have a margin of one cell
        if found is None or found[1] in whole or len(found[1]) < 2:
            continue
        if more := next((word for word in whole if word.startswith(found[1])), None):
            yield f"line {row} ends with {found[1]!r}, which is {more!r} where there is room: {line[-40:]!r}"


def _internal(lines: Sequence[str]) -> Iterator[str]:
    for row, line in enumerate(lines):
        if found := INTERNAL.search(line):
            yield f"line {row} shows {found[0]!r}: {line.strip()!r}"


def _footer(lines: Sequence[str]) -> Iterator[str]:
    if len(lines[-1]) >= 80 and "? help" not in lines[-1]:
        yield f"the footer does not tell how to get help: {lines[-1].strip()!r}"
