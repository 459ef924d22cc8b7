"""A random sample of a stream whose length is not known, and which several processes may read in pieces."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable

import msgspec

from core.data.readers.row_texts import RowTexts

SEED = 20  # the same file gives the same sample
Drawn = tuple[float, RowTexts]  # the number that was drawn for a row


class RowSample:
    """Draws a number for each row and keeps the rows with the smallest: every row is in the sample with the
    same probability. ``piece`` is the number of the piece of the file; ``count`` that of all rows."""

    def __init__(self, size: int, piece: int = 0) -> None:
        self._size, self._draw = size, random.Random(f"{SEED} {piece}").random
        self._kept = list[tuple[float, int, RowTexts]]()  # a heap: the largest number, negative, is first
        self.count = 0

    def add(self, row: RowTexts) -> None:
        """Offer the next row to the sample."""
        self.count += 1
        self._offer(self._draw(), row)

    def pack(self) -> list[Drawn]:
        """Return the rows of the sample with their numbers."""
        return [(-rank, row) for rank, _, row in self._kept]

    def merge(self, drawn_rows: Iterable[Drawn], count: int, first: int) -> None:
        """Take in the sample of the ``count`` rows that follow, of which the first is row ``first`` + 1."""
        self.count += count
        for number, row in drawn_rows:
            self._offer(number, msgspec.structs.replace(row, number=row.number + first))

    def sample(self) -> list[RowTexts]:
        """Return the sampled rows in the order of the stream."""
        return sorted((row for _, _, row in self._kept), key=lambda row: row.number)

    def _offer(self, rank: float, row: RowTexts) -> None:
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, (-rank, row.number, row))
        elif self._size and -rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (-rank, row.number, row))
