"""Remove secrets from everything that a process writes to its log."""

from __future__ import annotations

import io
import logging
import sys
from typing import TextIO

from core.contract.text.secret_redaction import Redactor

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Redacted(io.TextIOBase):
    """A stream that forwards complete lines without secrets; partial lines are buffered first."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream, self._redactor = stream, redactor
        self._line = ""

    def write(self, text: str) -> int:
        """Buffer ``text`` and write the lines that are complete."""
        *complete_lines, self._line = (self._line + text).split("\n")
        if complete_lines:
            self._stream.write(self._redactor.redact_text("\n".join(complete_lines)) + "\n")
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Write the unfinished line and flush the stream."""
        if self._line:
            self._stream.write(self._redactor.redact_text(self._line))
            self._line = ""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the stream's own file descriptor, which faulthandler and child processes use."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return False: a log is not a terminal."""
        return False

    def writable(self) -> bool:
        """Return True: the stream can be written to."""
        return True


def begin(redactor: Redactor | None = None) -> None:
    """Redact secrets in everything that this process and its libraries write to standard error."""
    redactor = redactor or Redactor()
    sys.stdout = Redacted(sys.stdout, redactor)
    sys.stderr = Redacted(sys.stderr, redactor)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=FORMAT)
