"""Reads rows of local files with each value as the file has it: no type is inferred from other rows.

It reads JSONL (also ``.ndjson``), JSON, CSV, TSV, Parquet, Arrow, and plain text with one row per line; text
formats may be compressed. CSV values are always text. Blank lines of JSONL or CSV are skipped.
"""

from __future__ import annotations

import csv
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.formats import arrow_rows
from core.data.formats.csv_rows import read_csv
from core.data.formats.file_lines import FIX, OPENERS, Count, Fault, TextFile, count_nothing
from core.data.formats.json_rows import read_json, read_lines
from core.errors import TrimtabError

Raw = dict[str, Any]
UNREADABLE = (OSError, ValueError, EOFError, RecursionError, csv.Error, lzma.LZMAError, zlib.error)


def find_kind(name: str) -> str | None:
    """Return the extension that determines how a file is read, such as ".jsonl"; None for an unsupported
    one."""
    ends = [end.lower() for end in Path(name).suffixes]
    if ends and ends[-1] in OPENERS:
        ends.pop()
    return ends[-1] if ends and ends[-1] in READERS else None


def read_rows(
    path: Path, key: str, name: str = "", delimiter: str = "", count: Count = count_nothing
) -> Iterator[Raw]:
    """Read the rows of a file; ``name`` has its extension (default: the path). ``count`` is told the bytes
    that are read: those of Parquet and Arrow at the end.

    Raises TrimtabError with the file and the line, which names ``key``, such as "data.source".
    """
    name = name or str(path)
    with locate(key, name):
        yield from _open(path, name, delimiter, count)


def count_rows(path: Path, key: str) -> int | None:
    """Return the number of rows that a Parquet or Arrow file declares; None for a file of text.

    Raises TrimtabError with the file, which names ``key``.
    """
    counter = COUNTERS.get(find_kind(path.name) or "")
    if counter is None:
        return None
    with locate(key, str(path)):
        return counter(path)


@contextmanager
def locate(key: str, name: str) -> Iterator[None]:
    """Raise what cannot be read as a TrimtabError with the file and the line."""
    location = f"{key} = {sanitize(name, 300)!r}"
    try:
        yield
    except Fault as error:
        line = f", line {error.line}" if error.line else ""
        raise TrimtabError.of(f"the data cannot be read: {error.what}", location + line, error.fix) from error
    except UNREADABLE as error:
        raise TrimtabError.of(
            f"the data cannot be read: {sanitize(str(error), 400)}", location, FIX
        ) from error


def _open(path: Path, name: str, delimiter: str, count: Count) -> Iterator[Raw]:
    kind_, suffix = find_kind(name) or "", Path(name).suffix.lower()
    if kind_ in BINARY:
        if suffix in OPENERS:
            raise Fault(f"a {kind_} file cannot be read compressed", fix="decompress it")
        yield from BINARY[kind_](path)
        count(path.stat().st_size)
        return
    with TextFile(path, suffix, count) as file:
        if kind_ == ".csv" and delimiter:
            yield from read_csv(file, delimiter)
        else:
            yield from READERS[kind_](file)


def _read_text(file: TextFile) -> Iterator[Raw]:
    return ({"text": line.removesuffix("\n").removesuffix("\r")} for _, line in file.read_lines())


BINARY: dict[str, Callable[..., Iterator[Raw]]] = {
    ".parquet": arrow_rows.read_parquet, ".arrow": arrow_rows.read_arrow, ".feather": arrow_rows.read_arrow,
}  # fmt: skip
COUNTERS: dict[str, Callable[[Path], int]] = {
    ".parquet": arrow_rows.count_parquet, ".arrow": arrow_rows.count_arrow,
    ".feather": arrow_rows.count_arrow,
}  # fmt: skip
READERS: dict[str, Callable[..., Iterator[Raw]]] = {
    ".jsonl": read_lines, ".ndjson": read_lines, ".json": read_json, ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"), **BINARY, ".txt": _read_text,
}  # fmt: skip
