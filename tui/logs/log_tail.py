"""Reads the end of a log file that another process writes, and then what is added. Blocks: for a thread."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor

TAIL_BYTES = 128 << 10  # read at most at once: of a larger file, or of what was added, the end
LINES_KEPT = 5000
LONGEST_LINE = 2000  # characters that are shown
LONGEST_REST = 64 << 10  # bytes of an unfinished line


@dataclass(frozen=True)
class LogLine:
    """A line by its number since the file was first read."""

    number: int
    text: str


@dataclass(frozen=True)
class LogEnd:
    """The end of a log. ``skipped_bytes`` before it were not read; ``why_none``: it cannot be read."""

    lines: tuple[LogLine, ...] = ()
    size_bytes: int = 0
    skipped_bytes: int = 0
    why_none: str = ""


class LogTail:
    """Follows one file. Each line is redacted and harmless to a terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._redactor = Redactor()
        self._lines: deque[LogLine] = deque(maxlen=LINES_KEPT)
        self._file = (0, 0)  # device and inode
        self._offset = self._skipped = self._next = 0
        self._rest = b""  # of a line that is not finished
        self.shown = LogEnd()

    def read(self) -> LogEnd:
        """Return the end of the file as it is now: the same object where nothing was added."""
        try:
            with open(self.path, "rb", opener=_open) as file:
                file_stat = os.fstat(file.fileno())
                if not stat.S_ISREG(file_stat.st_mode):
                    return self._report_none("it is not a file")
                if not self._is_continued(file_stat):
                    self._begin(file_stat)
                elif file_stat.st_size == self._offset and not self.shown.why_none:
                    return self.shown
                file.seek(self._offset)
                self._take(file.read(file_stat.st_size - self._offset))
        except OSError as error:
            return self._report_none(error.strerror or str(error))
        self.shown = LogEnd((*self._lines, *self._list_unfinished()), self._offset, self._skipped)
        return self.shown

    def _report_none(self, why: str) -> LogEnd:
        self._file = (0, 0)
        if self.shown.why_none != why:
            self.shown = LogEnd(why_none=why)
        return self.shown

    def _is_continued(self, file_stat: os.stat_result) -> bool:
        """Return whether it is the same file, to which no more was added than is read at once."""
        is_same_file = (
            self._file == (file_stat.st_dev, file_stat.st_ino) and file_stat.st_size >= self._offset
        )
        return is_same_file and file_stat.st_size - self._offset <= TAIL_BYTES

    def _begin(self, file_stat: os.stat_result) -> None:
        """Forget what was read, and go to the last TAIL_BYTES of the file."""
        self._file = (file_stat.st_dev, file_stat.st_ino)
        self._offset = self._skipped = max(0, file_stat.st_size - TAIL_BYTES)
        self._lines.clear()
        self._rest = b""

    def _take(self, raw: bytes) -> None:
        """Add the lines that are complete; the first of a cut file lacks its beginning and is left out."""
        cut = self._offset == self._skipped > 0 and not self._lines
        self._offset += len(raw)
        *complete_lines, self._rest = (self._rest + raw).split(b"\n")
        if len(self._rest) > LONGEST_REST:
            complete_lines, self._rest = [*complete_lines, self._rest], b""
        for line in complete_lines[1:] if cut and complete_lines else complete_lines:
            self._lines.append(LogLine(self._next, self._clean(line)))
            self._next += 1

    def _list_unfinished(self) -> tuple[LogLine, ...]:
        return (LogLine(self._next, self._clean(self._rest)),) if self._rest else ()

    def _clean(self, raw: bytes) -> str:
        """Return a line as it is shown; of a progress bar what was drawn last."""
        text = raw.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        return sanitize(self._redactor.redact_text(text), LONGEST_LINE)


def _open(path: str, flags: int) -> int:
    """Open a file; raises OSError for a link, and does not wait for the writer of a pipe."""
    return paths.open_without_link(path, flags | os.O_NONBLOCK)
