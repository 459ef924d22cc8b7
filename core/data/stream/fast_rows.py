"""Reads the rows of large JSONL files with msgspec, four times as fast as ``json``.

A check needs no digits as the file has them: 1.10 is read as 1.1. Lines that msgspec refuses, and files of
other formats, go to the usual reader, so that every message is the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from core.data.readers import local_files
from core.data.readers.source_files import Source

LINES = (".jsonl", ".ndjson")
Raw = dict[str, Any]
Count = Callable[[int], None]  # bytes read since the last call


def read_rows(source: Source, count: Count) -> Iterator[Raw]:
    """Read the rows of all files. Raises TrimtabError with the file and the line."""
    for file in source.files:
        if file.suffix.lower() in LINES:
            yield from _lines(file, source, count)
        else:
            yield from local_files.rows(file, source.key)
            count(file.stat().st_size)


def _lines(path: Path, source: Source, count: Count) -> Iterator[Raw]:
    decode, done = msgspec.json.Decoder().decode, 0
    with path.open("rb") as file:
        for line in file:
            count(len(line))
            if line.isspace():
                continue
            try:
                value = decode(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(value, dict):
                break
            yield value
            done += 1
        else:
            return
    yield from itertools.islice(local_files.rows(path, source.key), done, None)
