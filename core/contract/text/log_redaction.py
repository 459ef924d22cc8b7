"""What a process writes for people goes through here first: no secret reaches a log."""

from __future__ import annotations

import io
import logging
import sys
from typing import TextIO

from core.contract.text.secret_redaction import Redactor

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Redacted(io.TextIOBase):
    """A stream that passes whole lines on, without secrets. What comes in pieces is put together first."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream, self._redactor = stream, redactor
        self._line = ""

    def write(self, text: str) -> int:
        """Takes text; lines that are whole go out."""
        *whole, self._line = (self._line + text).split("\n")
        if whole:
            self._stream.write(self._redactor.text("\n".join(whole)) + "\n")
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """What stands in an unfinished line goes out, too."""
        if self._line:
            self._stream.write(self._redactor.text(self._line))
            self._line = ""
        self._stream.flush()

    def fileno(self) -> int:
        """That of the stream itself: faulthandler and child processes write there."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """A log is none."""
        return False

    def writable(self) -> bool:
        """It is there to be written to."""
        return True


def begin(redactor: Redactor | None = None) -> None:
    """Have this process log to its standard error, and libraries print, without secrets."""
    redactor = redactor or Redactor()
    sys.stdout = Redacted(sys.stdout, redactor)
    sys.stderr = Redacted(sys.stderr, redactor)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=FORMAT)
