"""Reads rows of CSV and TSV; their values are always text."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.formats.file_lines import Fault, TextFile

LARGEST_FIELD = 1 << 30  # characters
DELIMITERS = ",;\t|"  # looked for in the header, in this order
QUOTE = 'quote values that contain the delimiter, a quote or a line break: "…"'
Raw = dict[str, Any]


def read_csv(file: TextFile, delimiter: str = "") -> Iterator[Raw]:
    """Read the rows below the header; without ``delimiter`` it is the first one that the header has.

    Raises Fault.
    """
    csv.field_size_limit(LARGEST_FIELD)
    lines = (line for _, line in file.read_lines())
    first = next(lines, "")
    delimiter = delimiter or next((sign for sign in DELIMITERS if sign in first), ",")
    reader = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        _refuse_twice(header)
        begins = reader.line_num + 1
        for fields in reader:
            if len(fields) > len(header):
                message = f"a row has {len(fields)} values for {len(header)} columns"
                raise Fault(message, begins, QUOTE)
            if fields:
                yield dict(zip(header, [*fields, *[None] * (len(header) - len(fields))], strict=True))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Fault(f"it is not valid CSV: {sanitize(str(error), 200)}", reader.line_num, QUOTE) from None


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _refuse_twice(header: list[str]) -> None:
    """Raise Fault if two columns have the same name; spreadsheets add columns without any."""
    name, count = next(iter(Counter(filter(None, header)).most_common(1)), ("", 0))
    if count > 1:
        message = f"the column {sanitize(name, 60)!r} appears twice"
        raise Fault(message, 1, "give each column its own name")
