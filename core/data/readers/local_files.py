"""Reads rows of local files with each value as the file has it: no type is inferred from other rows.

It reads JSONL (also ``.ndjson``), a JSON array of objects, CSV, Parquet, and plain text with one row per
line; all but Parquet may be compressed. CSV values are always text. Blank lines of JSONL or CSV are skipped.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import importlib
import json
import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from core.contract.text.sanitize import plain
from core.errors import TrimtabError

Raw = dict[str, Any]
Lines = Iterator[tuple[int, str]]  # a line's number, from 1, and its text
LARGEST_FIELD = 1 << 30  # characters of a CSV field
LOOKED_AT = 4096  # bytes at the start of a file that are checked for its encoding
FIX = "correct the file; JSONL, JSON, CSV, Parquet and UTF-8 text are supported"
UNREADABLE = (OSError, ValueError, EOFError, RecursionError, csv.Error, lzma.LZMAError, zlib.error)


class Written(float):
    """A JSON number that keeps its digits, so that 1.10 stays 1.10 when it is converted to text."""

    digits: str

    def __new__(cls, digits: str) -> Written:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    def __str__(self) -> str:
        return self.digits


class Fault(ValueError):
    """A fault in a file, with its line where that is known."""

    def __init__(self, what: str, line: int | None = None, fix: str = FIX) -> None:
        super().__init__(what)
        self.what, self.line, self.fix = what, line, fix


def kind(name: str) -> str | None:
    """Return the extension that determines how a file is read, such as ".jsonl"; None for an unsupported
    one."""
    ends = [end.lower() for end in Path(name).suffixes]
    if ends and ends[-1] in OPENERS:
        ends.pop()
    return ends[-1] if ends and ends[-1] in READERS else None


def rows(path: Path, key: str, name: str = "", delimiter: str = ",") -> Iterator[Raw]:
    """Read the rows of a file; ``name`` has its extension (default: the path).

    Raises TrimtabError with the file and the line, which names ``key``, such as "data.source".
    """
    name = name or str(path)
    location = f"{key} = {plain(name, 300)!r}"
    try:
        reader = READERS[kind(name) or ""]
        if reader is _parquet:
            yield from _parquet(path)
            return
        with _open(path, name) as file:
            _refuse_other_encodings(file)
            yield from reader(file) if reader is not _csv else _csv(file, delimiter)
    except Fault as error:
        line = f", line {error.line}" if error.line else ""
        raise TrimtabError.of(f"the data cannot be read: {error.what}", location + line, error.fix) from error
    except UNREADABLE as error:
        raise TrimtabError.of(f"the data cannot be read: {plain(str(error), 400)}", location, FIX) from error


# -- bytes and lines -------------------------------------------------------------------------------


def _zstd(path: Path, mode: str) -> IO[bytes]:
    try:
        result: IO[bytes] = importlib.import_module("zstandard").open(path, mode)
        return result
    except ImportError:
        fix = "pip install zstandard, or decompress the file"
        raise Fault("it is compressed with zstd, and the package zstandard is missing", fix=fix) from None


OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".zst": _zstd,
}  # fmt: skip


def _open(path: Path, name: str) -> IO[bytes]:
    result: IO[bytes] = OPENERS.get(Path(name).suffix.lower(), open)(path, "rb")
    return result


def _refuse_other_encodings(file: IO[bytes]) -> None:
    head = file.read(LOOKED_AT)
    file.seek(0)
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or b"\0" in head:
        message = "it is in UTF-16 or UTF-32" if marked else "it contains NUL bytes (UTF-16 or a binary file)"
        fix = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        raise Fault(f"{message}; only UTF-8 is supported", fix=fix)


def _lines(file: IO[bytes]) -> Lines:
    for number, line in enumerate(file, 1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            fix = "convert it, for example: iconv -f LATIN1 -t UTF-8 FILE > NEW"
            raise Fault(f"byte 0x{line[error.start]:02x} is not valid UTF-8", number, fix) from None


# -- formats ---------------------------------------------------------------------------------------


def _value(text: str, line: int | None) -> Any:
    """Parse JSON; each number keeps its digits. Raises Fault."""
    try:
        return json.loads(text, parse_float=Written)
    except json.JSONDecodeError as error:
        message = f"it is not valid JSON: {error.msg} at column {error.colno}"
        raise Fault(message, line if line is not None else error.lineno) from None
    except (ValueError, RecursionError) as error:  # such as 5,000 digits or 900 nested brackets
        raise Fault(f"its JSON cannot be parsed: {plain(str(error), 200)}", line) from None


def _object(value: Any, line: int | None) -> Raw:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise Fault(f"a row must be an object such as {{…}}, not {_noun(value)}", line)
    return value


def _noun(value: Any) -> str:
    return "a list" if isinstance(value, list) else "null" if value is None else f"{plain(str(value), 40)}"


def _jsonl(file: IO[bytes]) -> Iterator[Raw]:
    for number, line in _lines(file):
        if not line.isspace():
            yield _object(_value(line, number), number)


def _json(file: IO[bytes]) -> Iterator[Raw]:
    """Read an array of objects, one object per line, or a single object."""
    head = file.read(LOOKED_AT).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    file.seek(0)
    lines = _lines(file)
    if head != b"[":
        number, first = next(((at, line) for at, line in lines if not line.isspace()), (1, ""))
        if _is_json(first):
            yield _object(_value(first, number), number)
            yield from (_object(_value(line, at), at) for at, line in lines if not line.isspace())
            return
        file.seek(0)
        lines = _lines(file)
    value = _value("".join(line for _, line in lines), None)
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        try:
            yield _object(item, None)
        except Fault as error:
            raise Fault(f"row {number}: {error.what}") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _csv(file: IO[bytes], delimiter: str = ",") -> Iterator[Raw]:
    csv.field_size_limit(LARGEST_FIELD)
    reader = csv.reader((line for _, line in _lines(file)), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            message = f"the column {plain(twice, 60)!r} appears twice"
            raise Fault(message, 1, "give each column its own name")
        begins = reader.line_num + 1
        for fields in reader:
            if len(fields) > len(header):
                fix = 'quote values that contain a comma, a quote or a line break: "…"'
                raise Fault(f"a row has {len(fields)} values for {len(header)} columns", begins, fix)
            if fields:
                yield dict(zip(header, [*fields, *[None] * (len(header) - len(fields))], strict=True))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Fault(f"it is not valid CSV: {plain(str(error), 200)}", reader.line_num) from None


def _text(file: IO[bytes]) -> Iterator[Raw]:
    return ({"text": line.removesuffix("\n").removesuffix("\r")} for _, line in _lines(file))


def _parquet(path: Path) -> Iterator[Raw]:
    import pyarrow
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        narrow = [
            field.name
            for field in file.schema_arrow
            if pyarrow.types.is_float32(field.type) or pyarrow.types.is_float16(field.type)
        ]
        for batch in file.iter_batches(batch_size=1000):
            digits = {name: [str(number) for number in batch[name].to_numpy(False)] for name in narrow}
            for at, row in enumerate(batch.to_pylist()):
                for name in narrow:  # 0.1, not 0.10000000149011612
                    if row[name] is not None and math.isfinite(row[name]):
                        row[name] = Written(digits[name][at])
                yield {name: without_nulls(value) for name, value in row.items()}


def without_nulls(value: Any) -> Any:
    """Remove null fields from nested objects: Arrow gives every object the keys of all others."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


READERS: dict[str, Callable[..., Iterator[Raw]]] = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet, ".txt": _text,
}  # fmt: skip
