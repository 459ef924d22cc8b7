"""Rows of local files, each value as the file writes it: no type is guessed from what other rows hold.

JSONL (also ``.ndjson``), a JSON array of objects, CSV, Parquet and plain text, a line a row; all of them but
Parquet may be packed. A value of CSV is a text, always. A blank line of JSONL or CSV is no row.
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
LOOKED_AT = 4096  # bytes that tell an encoding
FIX = "give JSONL, JSON, CSV, Parquet or text in UTF-8, and mend this place of it"
UNREADABLE = (OSError, ValueError, EOFError, RecursionError, csv.Error, lzma.LZMAError, zlib.error)


class Written(float):
    """A number of JSON that remembers its digits: 1.10 stays 1.10 where it is read as text."""

    digits: str

    def __new__(cls, digits: str) -> Written:
        one = super().__new__(cls, digits)
        one.digits = digits
        return one

    def __str__(self) -> str:
        return self.digits


class Fault(ValueError):
    """What is wrong with the file, in words, with the line where that is known."""

    def __init__(self, what: str, line: int | None = None, fix: str = FIX) -> None:
        super().__init__(what)
        self.what, self.line, self.fix = what, line, fix


def kind(name: str) -> str | None:
    """The ending that says how a file is read, such as ".jsonl"; None for anything else."""
    ends = [end.lower() for end in Path(name).suffixes]
    if ends and ends[-1] in OPENERS:
        ends.pop()
    return ends[-1] if ends and ends[-1] in READERS else None


def rows(path: Path, key: str, name: str = "", delimiter: str = ",") -> Iterator[Raw]:
    """The rows of a file that is called ``name`` (its path, where that has the ending).

    Raises TrimtabError with the file and the line, blamed on ``key``, such as "data.source".
    """
    name = name or str(path)
    where = f"{key} = {plain(name, 300)!r}"
    try:
        reader = READERS[kind(name) or ""]
        if reader is _parquet:
            yield from _parquet(path)
            return
        with _opened(path, name) as file:
            _refuse_other_encodings(file)
            yield from reader(file) if reader is not _csv else _csv(file, delimiter)
    except Fault as error:
        line = f", line {error.line}" if error.line else ""
        raise TrimtabError.of(f"the data cannot be read: {error.what}", where + line, error.fix) from error
    except UNREADABLE as error:
        raise TrimtabError.of(f"the data cannot be read: {plain(str(error), 400)}", where, FIX) from error


# -- bytes and lines -------------------------------------------------------------------------------


def _zstd(path: Path, mode: str) -> IO[bytes]:
    try:
        return importlib.import_module("zstandard").open(path, mode)
    except ImportError:
        fix = "pip install zstandard, or unpack the file"
        raise Fault("it is packed by zstd, and the package zstandard is not there", fix=fix) from None


OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".zst": _zstd,
}  # fmt: skip


def _opened(path: Path, name: str) -> IO[bytes]:
    return OPENERS.get(Path(name).suffix.lower(), open)(path, "rb")


def _refuse_other_encodings(file: IO[bytes]) -> None:
    head = file.read(LOOKED_AT)
    file.seek(0)
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or b"\0" in head:
        what = (
            "it is in UTF-16 or UTF-32" if marked else "it holds NUL bytes: it may be in UTF-16, or no text"
        )
        raise Fault(f"{what}; UTF-8 is read", fix="convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW")


def _lines(file: IO[bytes]) -> Lines:
    for number, line in enumerate(file, 1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            fix = "convert it, such as: iconv -f LATIN1 -t UTF-8 FILE > NEW"
            raise Fault(f"byte 0x{line[error.start]:02x} is not UTF-8", number, fix) from None


# -- kinds -----------------------------------------------------------------------------------------


def _value(text: str, line: int | None) -> Any:
    """What JSON ``text`` says, each number with its digits. Raises Fault."""
    try:
        return json.loads(text, parse_float=Written)
    except json.JSONDecodeError as error:
        what = f"it is not JSON: {error.msg} at column {error.colno}"
        raise Fault(what, line if line is not None else error.lineno) from None
    except (ValueError, RecursionError) as error:  # 5,000 digits, 900 brackets
        raise Fault(f"it is not JSON that can be read: {plain(str(error), 200)}", line) from None


def _object(found: Any, place: int | None) -> Raw:
    if isinstance(found, str):
        return {"text": found}
    if not isinstance(found, dict):
        raise Fault(f"{_noun(found)} stands where a row should, an object such as {{…}}", place)
    return found


def _noun(value: Any) -> str:
    return "a list" if isinstance(value, list) else "null" if value is None else f"{plain(str(value), 40)}"


def _jsonl(file: IO[bytes]) -> Iterator[Raw]:
    for number, line in _lines(file):
        if not line.isspace():
            yield _object(_value(line, number), number)


def _json(file: IO[bytes]) -> Iterator[Raw]:
    """An array of objects; an object a line; or one object alone."""
    head = file.read(LOOKED_AT).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    file.seek(0)
    lines = _lines(file)
    if head != b"[":
        number, first = next(((at, one) for at, one in lines if not one.isspace()), (1, ""))
        if _is_json(first):
            yield _object(_value(first, number), number)
            yield from (_object(_value(line, at), at) for at, line in lines if not line.isspace())
            return
        file.seek(0)
        lines = _lines(file)
    found = _value("".join(line for _, line in lines), None)
    for place, one in enumerate(found if isinstance(found, list) else [found], 1):
        try:
            yield _object(one, None)
        except Fault as error:
            raise Fault(f"row {place}: {error.what}") from None


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
            raise Fault(f"the column {plain(twice, 60)!r} stands twice", 1, "give each column its own name")
        begins = reader.line_num + 1
        for fields in reader:
            if len(fields) > len(header):
                fix = 'put values with a comma, a quote or a line end into "…"'
                raise Fault(f"{len(fields)} values for {len(header)} columns", begins, fix)
            if fields:
                yield dict(zip(header, [*fields, *[None] * (len(header) - len(fields))], strict=True))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Fault(f"it is not CSV: {plain(str(error), 200)}", reader.line_num) from None


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
            digits = {name: [str(one) for one in batch[name].to_numpy(False)] for name in narrow}
            for at, row in enumerate(batch.to_pylist()):
                for name in narrow:  # 0.1, not 0.10000000149011612
                    if row[name] is not None and math.isfinite(row[name]):
                        row[name] = Written(digits[name][at])
                yield {name: without_nulls(value) for name, value in row.items()}


def without_nulls(value: Any) -> Any:
    """Objects within a column without their null fields: Arrow gives every object each other's keys."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


READERS: dict[str, Callable[..., Iterator[Raw]]] = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet, ".txt": _text,
}  # fmt: skip
