"""Reads the rows of a source in batches, each split into texts, with the hashes of their words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from core.data.mixture.row_filter import keep_rows
from core.data.readers.row_shape import Canonical, Shape
from core.data.readers.row_texts import RowTexts, split
from core.data.readers.row_values import EmptyRow, UnusableRow
from core.data.readers.shaped_rows import ShapedRows
from core.data.stream.word_hashes import Bits, Indices, Words, hash_grams, hash_words
from core.errors import TrimtabError

BATCH_ROWS = 1000
BATCH_CHARACTERS = 1 << 20
Raw = dict[str, Any]


class ReadRow(msgspec.Struct, frozen=True):
    """A row of a source: ``raw`` as it is there, ``row`` in the common form. ``texts`` is None for a row that
    training skips, and ``fault`` says why. ``number`` counts all rows, from 1; ``size`` is that of
    ``texts``, in characters."""

    number: int
    raw: Raw
    row: Canonical
    texts: RowTexts | None
    fault: str = ""
    size: int = 0
    is_empty: bool = False

    @property
    def is_unwanted(self) -> bool:
        """Whether training skips the row because its answer is labelled false, as in data for KTO."""
        return "unwanted" in self.row


@dataclass(frozen=True)
class RowBatch:
    """Consecutive rows of a source."""

    rows: Sequence[ReadRow]

    @cached_property
    def texts(self) -> list[str]:
        """Every text of the batch: of each row first the context, then answers, then what else is learnt."""
        return list(
            itertools.chain.from_iterable(row.texts.all for row in self.rows if row.texts is not None)
        )

    @cached_property
    def _counts(self) -> Indices:
        """The number of texts of each row and part (R, 3): context, answers, other."""
        no_texts = RowTexts(0)
        parts = (
            (text.context, text.answers, text.other) for text in (row.texts or no_texts for row in self.rows)
        )
        flat = map(len, itertools.chain.from_iterable(parts))
        return np.fromiter(flat, np.int64, 3 * len(self.rows)).reshape(-1, 3)

    @cached_property
    def is_filled(self) -> Bits:
        """Whether each text has more than spaces."""
        return np.array([bool(text) and not text.isspace() for text in self.texts], bool)

    @cached_property
    def trains_nothing(self) -> list[bool]:
        """Whether training skips each row, or masks all of it from the loss."""
        trained = self.row_of[self.is_filled & self.is_learnt]
        flags: list[bool] = (np.bincount(trained, minlength=len(self.rows)) == 0).tolist()
        return flags

    @cached_property
    def is_ascii(self) -> bool:
        """Whether all texts are in ASCII: then a character is a byte."""
        return self.joined.isascii()

    @cached_property
    def row_of(self) -> Indices:
        """The index in ``rows`` of each text."""
        return np.repeat(np.arange(len(self.rows)), self._counts.sum(axis=1))

    @cached_property
    def is_learnt(self) -> Bits:
        """Whether each text is learnt."""
        return np.repeat(np.tile([False, True, True], len(self.rows)), self._counts.reshape(-1))

    @cached_property
    def is_answer(self) -> Bits:
        """Whether each text is an answer."""
        return np.repeat(np.tile([False, True, False], len(self.rows)), self._counts.reshape(-1))

    @cached_property
    def joined(self) -> str:
        """All texts as one, to test quickly whether any of them contains something."""
        return "\n".join(self.texts)

    @cached_property
    def words(self) -> Words:
        """The words of all texts."""
        return hash_words(self.texts)

    @cached_property
    def triples(self) -> Words:
        """Every sequence of three words within a text."""
        return hash_grams(self.words, 3)


def read_row(raw: Raw, row: Canonical, number: int) -> ReadRow:
    """Split a row into its texts; a row that cannot be split has the reason instead."""
    try:
        texts, size = split(row, number)
        return ReadRow(number, raw, row, texts, "", size)
    except UnusableRow as error:
        return ReadRow(number, raw, row, None, str(error), is_empty=isinstance(error, EmptyRow))


def make_batches(rows: ShapedRows) -> Iterator[RowBatch]:
    """Split rows and yield them in batches. What is read before an error is yielded before it is raised."""
    return gather(split_rows(Numbered(rows.read_raw()), rows.shape, {}))


class Numbered:
    """Rows, of which ``count`` have been read, not more than ``most``; ``is_more``: there are more."""

    def __init__(self, raws: Iterable[Raw], most: int = 1 << 62) -> None:
        self._raws, self._most = raws, most
        self.count, self.is_more = 0, False

    def __iter__(self) -> Iterator[Raw]:
        for raw in self._raws:
            if self.count == self._most:
                self.is_more = True
                return
            self.count += 1
            yield raw


def split_rows(raws: Numbered, shape: Shape | None, where: Mapping[str, Any]) -> Iterator[ReadRow]:
    """Split rows into texts: those that match ``where``, with their numbers among all."""
    for raw in keep_rows(lambda: raws, where)():
        assert shape is not None, "a source with rows has a shape"
        yield read_row(raw, shape.read(raw), raws.count)


def gather(rows: Iterable[ReadRow]) -> Iterator[RowBatch]:
    """Yield rows in batches. What is read before an error is yielded before it is raised."""
    batch, size = list[ReadRow](), 0
    try:
        for row in rows:
            batch.append(row)
            size += row.size
            if len(batch) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                yield RowBatch(batch)
                batch, size = [], 0
    except TrimtabError:
        if batch:
            yield RowBatch(batch)
        raise
    if batch:
        yield RowBatch(batch)
