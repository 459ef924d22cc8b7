"""Cuts large files of JSON lines into pieces, which several processes can read at the same time.

msgspec reads them, four times as fast as ``json``; 1.10 is 1.1 unless digits are to be kept, which training
needs and checks do not. A line that it refuses, and files of other formats, go to the usual reader, so that
every row and every message is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from core.data.formats.file_lines import LATIN, LONGEST_LINE, LOOKED_AT, MARKS, Count, Fault
from core.data.formats.json_rows import parse_line
from core.data.formats.numbers_as_written import Written
from core.data.readers import local_file_reader

LINES = (".jsonl", ".ndjson")
PIECE_BYTES = 8 << 20
BLOCK_BYTES = 1 << 18  # decoded at once
Raw = dict[str, Any]
Decoder = msgspec.json.Decoder[Any]
ROUNDED, EXACT = msgspec.json.Decoder(), msgspec.json.Decoder(float_hook=Written)


class Piece(msgspec.Struct, frozen=True):
    """The lines of a file that begin from ``begin`` to before ``end``; the whole file, by its usual reader,
    if ``end`` is None."""

    file: str
    begin: int = 0
    end: int | None = None


def plan_pieces(files: Iterable[Path]) -> list[Piece]:
    """Cut files of JSON lines in UTF-8 into pieces of PIECE_BYTES; other files are a piece each."""
    pieces = list[Piece]()
    for file in files:
        size = _measure(file)
        if size is None:
            pieces.append(Piece(str(file)))
        else:
            begins = range(0, size, PIECE_BYTES)
            pieces += [Piece(str(file), begin, min(size, begin + PIECE_BYTES)) for begin in begins]
    return pieces


def read_piece(piece: Piece, key: str, count: Count, is_exact: bool = False) -> Iterator[Raw]:
    """Read the rows of a piece; ``count`` is told the bytes. With ``is_exact`` numbers keep their digits, as
    those of the usual reader do. Raises TrimtabError with the file and the line, which names ``key``."""
    if piece.end is None:
        yield from local_file_reader.read_rows(Path(piece.file), key, count=count)
        return
    with local_file_reader.locate(key, piece.file):
        yield from _read_lines(piece, piece.end, count, EXACT if is_exact else ROUNDED)


def _measure(file: Path) -> int | None:
    """Return the size of a file of JSON lines in UTF-8; None for any other file."""
    if file.suffix.lower() not in LINES:
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(LOOKED_AT)
            is_utf8 = b"\0" not in head and not head.startswith(tuple(mark for mark, _ in MARKS))
            return file.stat().st_size if is_utf8 else None
    except OSError:  # the reader reports it
        return None


def _read_lines(piece: Piece, end: int, count: Count, decoder: Decoder) -> Iterator[Raw]:
    with Path(piece.file).open("rb") as file:
        at = _find_line(file, piece.begin, end)
        while at < end:
            file.seek(at)
            block = file.read(min(BLOCK_BYTES, end - at))
            if not block.endswith(b"\n"):
                block += file.readline(LONGEST_LINE)
            if not block:
                return
            rows = _decode_block(decoder, block)
            if rows is not None:
                yield from rows
            else:
                file.seek(at)
                yield from _read_singly(piece.file, file, at, at + len(block), decoder)
            count(len(block))
            at += len(block)


def _decode_block(decoder: Decoder, block: bytes) -> list[Raw] | None:
    """Decode whole lines at once; None where one of them is not a single JSON object."""
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if len(block) >= LONGEST_LINE or not block.startswith(b"{") or block.count(b"\n{") != lines - 1:
        return None
    try:
        rows = decoder.decode_lines(block)
    except (ValueError, RecursionError):
        return None
    return rows if len(rows) == lines and all(type(row) is dict for row in rows) else None


def _read_singly(name: str, file: IO[bytes], at: int, end: int, decoder: Decoder) -> Iterator[Raw]:
    """Read lines one by one, those from ``at`` on that begin before ``end``."""
    while at < end and (line := file.readline(LONGEST_LINE)):
        try:
            value = decoder.decode(line)
        except (ValueError, RecursionError):
            value = None
        if type(value) is not dict:
            value = _read_usually(name, line, at)
        at += len(line)
        if value is not None:
            yield value


def _find_line(file: IO[bytes], begin: int, end: int) -> int:
    """Go to the first line that begins from ``begin`` on, and return its place; ``end`` if it lies behind."""
    if not begin:
        return 0
    file.seek(begin - 1)
    rest = file.readline(end - begin + 1)
    return begin - 1 + len(rest) if rest.endswith(b"\n") else end


def _read_usually(file: str, line: bytes, at: int) -> Raw | None:
    """Parse a line as the usual reader does; None for a blank one. Raises Fault."""
    try:
        if len(line) >= LONGEST_LINE:
            raise Fault(f"a line is longer than {LONGEST_LINE >> 20:,} MiB")
        text = line.decode("utf-8-sig" if not at else "utf-8")
        return None if text.isspace() else parse_line(text)
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02x} is not valid UTF-8"
        raise Fault(message, _count_lines(file, at) + 1, LATIN) from None
    except Fault as error:
        raise Fault(error.what, _count_lines(file, at) + 1, error.fix) from None


def _count_lines(file: str, end: int) -> int:
    """Return the number of line ends in the first ``end`` bytes of a file."""
    lines = 0
    with Path(file).open("rb") as opened:
        while end > 0 and (chunk := opened.read(min(end, 1 << 20))):
            lines += chunk.count(b"\n")
            end -= len(chunk)
    return lines
