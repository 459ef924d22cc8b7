"""Rows as a check sees them, each read in a shape of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.data.readers.row_shape_choice import choose
from core.data.stream.row_batches import ReadRow, RowBatch, read_row
from core.errors import TrimtabError

DATA = DataOptions(source="rows.jsonl")


def read_alone(raw: dict[str, Any], number: int, data: DataOptions = DATA) -> ReadRow:
    try:
        return read_row(raw, choose([raw], data).read(raw), number)
    except TrimtabError as error:
        return read_row(raw, {"unusable": error.problems[0].what}, number)


def batch_of(raws: Iterable[dict[str, Any]], first: int = 1) -> RowBatch:
    return RowBatch([read_alone(raw, number) for number, raw in enumerate(raws, first)])
