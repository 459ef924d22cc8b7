"""Opens a file of rows as text: decompressed, in UTF-8 or an encoding that a byte order mark declares.

Files are read as a stream: at no time is more than a line held in memory.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

Lines = Iterator[tuple[int, str]]  # a line's number, from 1, and its text
Count = Callable[[int], None]  # bytes of a file that were read since the last call
LOOKED_AT = 4096  # bytes at the start of a file that are checked for its encoding
LONGEST_LINE = 1 << 30  # bytes
CHUNK = 1 << 20  # bytes of a text that is not read by lines
LATIN = "convert it, for example: iconv -f LATIN1 -t UTF-8 FILE > NEW"
FIX = "correct the file; JSONL, JSON, CSV, TSV, Parquet, Arrow and UTF-8 text are supported"
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


class Fault(ValueError):
    """A fault in a file, with its line where that is known."""

    def __init__(self, what: str, line: int | None = None, fix: str = FIX) -> None:
        super().__init__(what)
        self.what, self.line, self.fix = what, line, fix


def count_nothing(size: int) -> None:
    """Take no notice of how many bytes were read."""


def _open_zstd(file: IO[bytes], mode: str) -> IO[bytes]:
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError:
        fix = "pip install pyarrow, or decompress the file"
        raise Fault("it is compressed with zstd, and the package pyarrow is missing", fix=fix) from None
    stream: Any = pyarrow.input_stream(file, compression="zstd")
    return io.BufferedReader(stream, 1 << 20)


OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".zst": _open_zstd, ".zstd": _open_zstd,
}  # fmt: skip


class TextFile:
    """A file of text, opened for one pass. ``count`` is told the bytes that are read, as they are on the
    disk. Raises Fault for what is neither UTF-8 nor marked."""

    def __init__(self, path: Path, suffix: str, count: Count = count_nothing) -> None:
        self._stored = io.BufferedReader(_CountedFile(path, count))
        self._file: IO[bytes] = self._stored
        try:
            if suffix in OPENERS:
                self._file = OPENERS[suffix](self._stored, "rb")
            self._head = self._file.read(LOOKED_AT)
        except BaseException:
            self._close()
            raise
        self.encoding = next((name for mark, name in MARKS if self._head.startswith(mark)), "utf-8")
        if self.encoding == "utf-8" and b"\0" in self._head:
            self._close()
            fix = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
            raise Fault("it contains NUL bytes (UTF-16 without a byte order mark, or a binary file)", fix=fix)

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._file.close()
        self._stored.close()  # what decompresses it leaves it open

    def read_lines(self) -> Lines:
        """Yield the lines with their ends. Raises Fault."""
        if self.encoding == "utf-8":
            yield from self._read_utf8()
            return
        stream = io.TextIOWrapper(self._open_rest(), encoding=self.encoding, newline="\n")
        number = 0
        try:
            for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE), ""), 1):
                yield number, _check_whole(line, number)
        except UnicodeError as error:
            raise Fault(f"it is not valid {self.encoding.upper()}: {error}", number + 1) from None

    def _read_utf8(self) -> Lines:
        stream = self._open_rest()
        for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE), b""), 1):
            try:
                yield number, _check_whole(line, number).decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise Fault(f"byte 0x{line[error.start]:02x} is not valid UTF-8", number, LATIN) from None

    def read_chunks(self) -> Iterator[str]:
        """Yield the text in pieces of about a megabyte. Raises Fault."""
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        decoder, line = codecs.getincrementaldecoder(encoding)(), 1
        stream = self._open_rest()
        try:
            while data := stream.read(CHUNK):
                text = decoder.decode(data)
                line += text.count("\n")
                yield text
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            message = f"byte 0x{error.object[error.start]:02x} is not valid {self.encoding.upper()}"
            raise Fault(message, line, LATIN) from None

    def _open_rest(self) -> io.BufferedReader:
        """The bytes of the file from its beginning."""
        return io.BufferedReader(_Joined(self._head, self._file), 1 << 16)


class _CountedFile(io.FileIO):
    """A file that tells how many bytes were read from it."""

    def __init__(self, path: Path, count: Count) -> None:
        super().__init__(path)
        self._count = count

    def readinto(self, buffer: Any) -> int | None:
        size = super().readinto(buffer)
        self._count(size or 0)
        return size


class _Joined(io.RawIOBase):
    """Bytes that were read already, followed by the rest of their file: a stream may not be able to seek."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._file.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _check_whole(line: Any, number: int) -> Any:
    """Return the line. Raises Fault if only its beginning was read."""
    if len(line) >= LONGEST_LINE:
        raise Fault(f"a line is longer than {LONGEST_LINE >> 20:,} MiB", number)
    return line
