"""The distribution of row lengths, and the rows that training cuts."""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.data.cache.token_arrays import TokenizedPart
from core.data.checks.check_finding import Finding, Lengths, Severity
from core.data.checks.row_tally import Tally, grade, make_tally_finding
from core.data.copies.row_keys import list_whole_texts
from core.data.readers.row_texts import BYTES_A_TOKEN, count_bytes
from core.data.stream.row_batches import ReadRow, RowBatch

LENGTHS, CUT = "very long rows", "rows that are cut"
OUTLIER = 20  # times the median length
SOME_CUT, MANY_CUT = 0.05, 0.25
SOME_LOST, MANY_LOST = 0.001, 0.02  # rows whose answer is cut off whole
BLOCKS = "truncation"
LENGTHS_REMEDY = "look at them: one long row sets the memory of its batch"
CUT_REMEDY = (
    "raise sequence_length, shorten the prompts, or split the rows; `trimtab clean --long drop` leaves them "
    "out, --long truncate shortens them"
)
LOST, ENDS = "the answer is cut off whole", "the end is cut"


class RowLengths:
    """Keeps the length of each row in characters, 4 bytes."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._lengths = array("I")

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._lengths.extend(min(find_length(row), 2**32 - 1) for row in batch.rows if row.texts is not None)

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has."""
        return self._lengths.tobytes()

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow."""
        self._lengths.frombytes(packed)

    def make_finding(self) -> Finding:
        """Return the distribution; hits are rows of OUTLIER times the median."""
        lengths = np.frombuffer(self._lengths, np.uint32) if self._lengths else np.zeros(1, np.uint32)
        self._tally.rows = len(self._lengths)
        middle, most, longest = (int(value) for value in np.percentile(lengths, (50, 95, 100)))
        self._tally.hits = int((lengths > OUTLIER * max(1, middle)).sum())
        tokens = [value // BYTES_A_TOKEN for value in (middle, most, longest)]
        detail = (
            f"characters: half of the rows have at most {middle:,}, 95 % at most {most:,}, the longest "
            f"{longest:,}; about {tokens[0]:,}, {tokens[1]:,} and {tokens[2]:,} tokens"
        )
        finding = make_tally_finding(LENGTHS, self._tally, Severity.LOW, LENGTHS_REMEDY, detail)
        return dataclasses.replace(finding, lengths=_distribute(lengths) if self._lengths else None)


def _distribute(lengths: np.ndarray) -> Lengths:
    """Return the distribution in bins of half an octave: each is 1.4 times as wide as the one before."""
    tokens = np.maximum(1, lengths // BYTES_A_TOKEN)
    places, counts = np.unique(np.ceil(2 * np.log2(tokens)).astype(int), return_counts=True)
    rows = dict(zip(places.tolist(), counts.tolist(), strict=True))
    between = range(min(rows), max(rows) + 1)
    bins = tuple((int(2 ** (place / 2)), rows.get(place, 0)) for place in between)
    return Lengths(int(lengths.sum(dtype=np.int64)), bins)


class CutRows:
    """Counts rows of more than ``limit`` tokens, estimated from their bytes, and the tokens beyond it."""

    def __init__(self, limit: int) -> None:
        self._limit, self._tally, self._beyond = limit, Tally(), 0

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        rows = [row for row in batch.rows if row.texts is not None]
        self._tally.rows += len(rows)
        long = self._limit * (BYTES_A_TOKEN if batch.is_ascii else 1)  # a token has at least one byte
        for row in rows:
            if row.size <= long and not row.texts.is_cut:  # type: ignore[union-attr]
                continue
            if (tokens := estimate_tokens(list_whole_texts(row))) > self._limit:
                self._beyond += tokens - self._limit
                kind = LOST if _estimate_before_answer(row) >= self._limit else ENDS
                self._tally.hit(row.number, lambda row=row: " ".join(row.texts.all), kind)  # type: ignore[misc]

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has."""
        return self._tally.pack(), self._beyond

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow, of which the first is row ``first`` + 1."""
        tally, beyond = packed
        self._tally.merge(tally, first)
        self._beyond += beyond

    def make_finding(self) -> Finding:
        """Return what was found in all rows. It blocks if no answer is left."""
        detail = f"tokens, estimated as bytes / {BYTES_A_TOKEN}, and about {self._beyond:,} are cut off"
        return _describe_cut(self._tally, f"more than {self._limit:,} {detail}")


def count_cut(estimated: Finding, parts: Sequence[TokenizedPart], limit: int) -> Finding:
    """Return the finding of rows that are cut, from the tokens that trials train on; rows are shown of those
    ``estimated``."""
    tally = Tally()
    for part in parts:
        longer = part.list_longer(limit)
        lost = np.setdiff1d(longer, part.find_learnable(limit))
        tally.rows += len(part.lengths)
        tally.hits += len(longer)
        tally.kinds.update({LOST: len(lost), ENDS: len(longer) - len(lost)})
    tally.kinds = +tally.kinds
    tally.examples = list(estimated.examples) if tally.hits else []
    finding = _describe_cut(tally, f"more than {limit:,} tokens, counted in the token cache")
    return finding if tally.hits else dataclasses.replace(finding, detail="counted in the token cache")


def _describe_cut(tally: Tally, how_counted: str) -> Finding:
    lost = tally.kinds[LOST]
    severity = max(
        grade(tally.share, SOME_CUT, MANY_CUT),
        grade(lost / max(1, tally.rows), SOME_LOST, MANY_LOST),
        key=(Severity.LOW, Severity.MEDIUM, Severity.HIGH).index,
    )
    detail = f"{how_counted}; {tally.list_kinds()}" if tally.hits else ""
    blocks = BLOCKS if lost and lost == tally.rows else ""
    return make_tally_finding(CUT, tally, severity, CUT_REMEDY, detail, blocks)


def _estimate_before_answer(row: ReadRow) -> int:
    """Return the tokens before the first answer: of a chat those of its first turns."""
    assert row.texts is not None
    if not row.texts.answers:
        return 0
    before = list(row.texts.context)
    messages = row.row.get("messages")
    if isinstance(messages, list):
        roles = [turn.get("role") if isinstance(turn, dict) else None for turn in messages]
        before = before[: roles.index("assistant")] if "assistant" in roles else before
    return estimate_tokens(before)


def estimate_tokens(texts: Iterable[str]) -> int:
    """Return the tokens of texts, estimated from their bytes in UTF-8."""
    return count_bytes(texts) // BYTES_A_TOKEN


def find_length(row: ReadRow) -> int:
    """Return the characters of a row."""
    return sum(map(len, list_whole_texts(row))) if row.texts is not None and row.texts.is_cut else row.size
