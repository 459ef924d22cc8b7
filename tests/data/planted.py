"""Rows with a known share of what a check looks for."""

from __future__ import annotations

import json
from collections.abc import Iterable

from core.data.readers.row_texts import RowTexts
from core.data.stream.row_batches import ReadRow, RowBatch
from core.evaluate.prompts.packaged_prompts import DATA, load_reference


def held_out(name: str) -> list[dict]:
    """The packaged planted texts that no rule was written for."""
    rows = map(json.loads, (DATA / f"planted_{name}.jsonl").read_text("utf-8").splitlines())
    return [row for row in rows if row.get("held_out", True)]


def answers(texts: Iterable[str]) -> list[RowTexts]:
    """A row with each text as its answer."""
    return [RowTexts(number, ("Please go on.",), (text,)) for number, text in enumerate(texts, 1)]


def ordinary() -> list[RowTexts]:
    """Rows of general prose, facts, dialogue and code."""
    return answers(passage.text for passage in load_reference())


def batch(rows: Iterable[RowTexts]) -> RowBatch:
    """The rows as the checks of all rows see them."""
    return RowBatch([ReadRow(row.number, {}, {}, row) for row in rows])


def rates(found: set[int], wanted: set[int]) -> tuple[float, float]:
    """Precision and recall of the numbers found."""
    hits = len(found & wanted)
    return hits / max(1, len(found)), hits / len(wanted)
