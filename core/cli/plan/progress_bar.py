"""A progress bar in the last line of a terminal: bytes read of all, rate and time left."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from core.contract.text.safe_printing import Harmless

EVERY_S = 0.1
CELLS = 20
FULL, EMPTY = "█", "░"
MEGABYTE = 1e6


class ProgressBar:
    """Draws on standard error, if that is a terminal; else it draws nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if isinstance(sys.stderr, Harmless) and sys.stderr.isatty() else None
        self._clock, self._begun_s, self._drawn_s = clock, clock(), 0.0
        self._width = 0  # of the line that is shown

    @property
    def is_live(self) -> bool:
        """Whether anything is drawn."""
        return self._stream is not None

    def show(self, done: int, total: int) -> None:
        """Show how many of all bytes are read. Going back to fewer bytes begins a new bar."""
        now_s = self._clock()
        if not done:
            self._begun_s = now_s
        if total and done:
            self._draw(describe(done, total, now_s - self._begun_s))

    def tell(self, what: str) -> None:
        """Show what is done instead of the bar."""
        self._draw(f"{what} …")

    def clear(self) -> None:
        """Remove the line before something else is printed."""
        if self._width and self._stream is not None:
            self._stream.overwrite(" " * self._width)
            self._stream.overwrite("")
        self._width, self._drawn_s = 0, 0.0

    def _draw(self, line: str) -> None:
        now_s = self._clock()
        if self._stream is None or now_s - self._drawn_s < EVERY_S:
            return
        line = line[: shutil.get_terminal_size().columns - 1]
        self._stream.overwrite(line.ljust(self._width))
        self._width, self._drawn_s = len(line), now_s


def describe(done: int, total: int, spent_s: float) -> str:
    """Return the bar with the bytes, the rate and the time left, such as "42 of 100 MB"."""
    share = min(1.0, done / total)
    bar = (FULL * round(CELLS * share)).ljust(CELLS, EMPTY)
    line = f"{bar} {100 * share:3.0f} %  {done / MEGABYTE:,.0f} of {total / MEGABYTE:,.0f} MB"
    if spent_s < 1.0:
        return line
    left_s = round(spent_s * (total - min(done, total)) / done)
    return f"{line}  {done / MEGABYTE / spent_s:.1f} MB/s  {left_s // 60}:{left_s % 60:02} left"
