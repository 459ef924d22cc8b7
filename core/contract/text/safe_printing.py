"""Print text that no terminal interprets and every encoding can represent."""

from __future__ import annotations

import codecs
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from core.contract.text.sanitize import REPLACEMENT, sanitize
from core.errors import TrimtabError

ERRORS = "trimtab.spelt"  # the name of the codec error handler below
# Signs of trimtab's own texts, and what replaces them in an encoding without them.
SPELT = {
    "→": "->", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "≥": ">=", "≤": "<=", "≈": "~",
    "✓": "ok", "✗": "no", "█": "#", "↵": "|", "⟦": "[", "⟧": "]", "‖": "||", REPLACEMENT: "?",
}  # fmt: skip


def _replace_character(error: UnicodeError) -> tuple[str, int]:
    """Replace a character that the encoding lacks, as a codec error handler: a sign by plain letters, others
    by their code point as in TOML."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_replace_letters, error.object[error.start : error.end])), error.end


def _replace_letters(letter: str) -> str:
    number = ord(letter)
    return SPELT.get(letter) or (f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}")


codecs.register_error(ERRORS, _replace_character)


class UnwritableError(TrimtabError):
    """The output cannot be written."""


class Harmless(io.TextIOBase):
    """A stream that shows text without any control characters; ``written_at`` is the time of the last
    write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.written_at = time.monotonic()

    def write(self, text: str) -> int:
        """Write ``text`` without control, format and private characters; line ends stay.

        Raises BrokenPipeError where the reader is gone, UnwritableError for any other error of the system.
        """
        ordinary = text.isascii() and text.replace("\n", "").isprintable()
        with _warn_unprintable():
            self._stream.write(text if ordinary else sanitize(text, lines=True))
        self.written_at = time.monotonic()
        return len(text)

    def overwrite(self, line: str) -> None:
        """Write a line of a terminal in place of the one that the cursor is in. Raises as ``write`` does."""
        with _warn_unprintable():
            self._stream.write(f"\r{sanitize(line)}")
            self._stream.flush()
        self.written_at = time.monotonic()

    def flush(self) -> None:
        """Flush the stream; raise as ``write`` does."""
        with _warn_unprintable():
            self._stream.flush()

    def fileno(self) -> int:
        """Return the stream's own file descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True: the stream can be written to."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"


@contextmanager
def _warn_unprintable() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"the output cannot be written: {error.strerror or error}"
        fix = "make room where it goes to, or send it elsewhere"
        raise UnwritableError.of(message, "standard output or standard error", fix) from error


@contextmanager
def print_harmlessly() -> Iterator[None]:
    """Sanitize standard output and error within the context. A stream that is closed stays None."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)
    sys.stdout, sys.stderr = map(_wrap, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _wrap(stream: Any) -> Any:
    return stream if stream is None or isinstance(stream, Harmless) else Harmless(stream)


def measure_silence_s() -> float:
    """Return the seconds since the last output."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Harmless)]
    return min((time.monotonic() - stream.written_at for stream in streams), default=0.0)
