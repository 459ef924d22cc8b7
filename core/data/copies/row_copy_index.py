"""The fingerprints of all rows of a source, and which rows are copies of each other."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from core.data.copies import minhash_signatures
from core.data.copies.minhash_signatures import NearPrints
from core.data.copies.row_keys import make_row_key
from core.data.stream.row_batches import RowBatch
from core.data.stream.word_hashes import Hashes, Indices

MOST_NEAR = 1_500_000  # rows with a signature: 400 MB


class Packed(msgspec.Struct):
    """Fingerprints as another process takes them: the arrays as bytes."""

    keys: bytes
    numbers: bytes
    untrained: bytes
    columns: list[bytes]
    groups: list[Any]


class RowPrints:
    """The key and the number of each row, and the signatures of the first MOST_NEAR that learn enough text;
    16 and 260 bytes. A row that trains nothing has neither key nor signature: it is a copy of no other."""

    def __init__(self, near: bool = True, is_later: bool = False) -> None:
        """With ``is_later`` other rows of the source come before these."""
        self._near, self._signed, self._is_later = near, 0, is_later
        self._keys, self._numbers, self._untrained = array("Q"), array("q"), array("q")
        self._columns = (
            bytearray(),
            bytearray(),
            bytearray(),
        )  # of NearPrints: they grow without a second copy
        self.groups: list[Any] = []  # the group of each row, if the first row has one

    @classmethod
    def join(cls, first: RowPrints, second: RowPrints) -> RowPrints:
        """Return the fingerprints of the rows of ``first``, followed by those of ``second``."""
        prints = cls()
        prints._keys = first._keys + second._keys
        prints._numbers = first._numbers + second._numbers
        prints._untrained = first._untrained + array("q", (second.untrained + len(first)).tolist())
        later = second.near._replace(rows=second.near.rows + len(first))
        for column, *parts in zip(prints._columns, first.near, later, strict=True):
            for part in parts:
                column += np.asarray(part).tobytes()
        return prints

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        first = len(self._keys)
        for at, (row, is_useless) in enumerate(zip(batch.rows, batch.trains_nothing, strict=True), first):
            if is_useless:
                self._untrained.append(at)
            self._keys.append(0 if is_useless else make_row_key(row))
            self._numbers.append(row.number)
        compared_rows = batch.rows if self._is_later else batch.rows[: not first]
        if self.groups or any("group" in row.raw for row in compared_rows):
            self.groups += [None] * (first - len(self.groups))
            self.groups += [row.raw.get("group") for row in batch.rows]
        if self._near and self._signed < MOST_NEAR:
            part = minhash_signatures.print_batch(batch, first)
            self._signed += len(part.rows)
            for column, values in zip(self._columns, part, strict=True):
                column += np.asarray(values).tobytes()

    def pack(self) -> Packed:
        """Return what is kept, in types that msgpack has."""
        return Packed(
            self._keys.tobytes(),
            self._numbers.tobytes(),
            self._untrained.tobytes(),
            [bytes(column) for column in self._columns],
            self.groups,
        )

    def merge(self, packed: Packed, first: int) -> None:
        """Take in what was kept of the rows that follow, of which the first is row ``first`` + 1."""
        count = len(self._keys)
        self._keys.frombytes(packed.keys)
        self._numbers.frombytes((np.frombuffer(packed.numbers, np.int64) + first).tobytes())
        self._untrained.frombytes((np.frombuffer(packed.untrained, np.int64) + count).tobytes())
        if self.groups or not count:
            later = len(self._keys) - count
            self.groups += packed.groups or ([None] * later if self.groups else [])
        if self._near and self._signed < MOST_NEAR:
            rows, *others = packed.columns
            later_rows = np.frombuffer(rows, np.int64) + count
            self._signed += len(later_rows)
            for column, part in zip(self._columns, (later_rows.tobytes(), *others), strict=True):
                column += part

    @property
    def numbers(self) -> Indices:
        """The number of each row in its source (N,), from 1."""
        return np.frombuffer(self._numbers, np.int64) if self._numbers else np.empty(0, np.int64)

    @property
    def is_partial(self) -> bool:
        """Whether later rows are compared by their keys alone."""
        return self._signed >= MOST_NEAR

    @property
    def keys(self) -> Hashes:
        """The key of each row (N,); 0 for a row that trains nothing."""
        return np.frombuffer(self._keys, np.uint64) if self._keys else np.empty(0, np.uint64)

    @property
    def untrained(self) -> Indices:
        """The indices of the rows that train nothing, ascending."""
        return np.frombuffer(self._untrained, np.int64) if self._untrained else np.empty(0, np.int64)

    @property
    def near(self) -> NearPrints:
        """The signatures of the rows that have one."""
        rows, bands, slots = self._columns
        return NearPrints(
            np.frombuffer(rows, np.int64),
            np.frombuffer(bands, np.uint32).reshape(-1, minhash_signatures.BANDS),
            np.frombuffer(slots, np.uint8).reshape(-1, minhash_signatures.SLOTS),
        )

    @cached_property
    def exact_copies(self) -> Indices:
        """The index of the first row that equals each row (N,). Read it when all rows are in."""
        own = np.arange(len(self))
        trained = np.delete(own, self.untrained)
        _, first, group_of_row = np.unique(self.keys[trained], return_index=True, return_inverse=True)
        own[trained] = trained[first[group_of_row]]
        return own

    @cached_property
    def near_copies(self) -> Indices:
        """The index of the first row of each row's cluster of exact and near copies (N,)."""
        first, labels = np.arange(len(self)), self.near
        first[labels.rows] = labels.rows[minhash_signatures.cluster(labels)]
        return first[self.exact_copies]


def spare_groups(exact: Indices, near: Indices, groups: Sequence[Any]) -> Indices:
    """Return the index of the first copy of each row, where near copies in the group of their first copy
    count as none: they are on one side of the split, as the paraphrases of `trimtab augment` are."""
    if not groups:
        return near
    own = np.arange(len(near))
    inside = [
        groups[at] is not None and groups[at] == groups[first] for at, first in enumerate(near.tolist())
    ]
    return np.where(np.array(inside, bool), np.where(exact != own, exact, own), near)
