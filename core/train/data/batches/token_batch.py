"""The tokens of several rows, one row after the other, and which of them are targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class TokenBatch(NamedTuple):
    """``ids``, (N,) int32, are the tokens of all rows; ``targets``, (N,) bool, says which are targets. For
    each row: ``ends``, (R,) int64, where its tokens end, and ``is_cut``, (R,) bool, whether it has more.
    ``faults``: why a row, by its index, is unusable."""

    ids: Array
    targets: Array
    ends: Array
    is_cut: Array
    faults: Mapping[int, str]

    @classmethod
    def of(
        cls,
        ids: Array,
        targets: Array,
        lengths: Sequence[int],
        is_cut: Sequence[bool],
        faults: Mapping[int, str] | None = None,
    ) -> TokenBatch:
        """Make a batch of rows with these ``lengths``."""
        ends = np.cumsum(np.array(lengths, np.int64))
        return cls(ids, targets, ends, np.array(is_cut, bool), faults or {})

    @property
    def begins(self) -> Array:
        """Where the tokens of each row begin: (R,) int64."""
        return np.concatenate(([0], self.ends[:-1])).astype(np.int64)[: len(self.ends)]

    def find_tokens(self, rows: Sequence[int]) -> Array | slice:
        """Return which tokens those of the rows with these indices are, for indexing."""
        if len(rows) == len(self.ends):
            return slice(None)
        return np.repeat(np.isin(np.arange(len(self.ends)), rows), self.ends - self.begins)

    def shorten(self, longest: int) -> TokenBatch:
        """Keep the first ``longest`` tokens of each row."""
        begins = self.begins
        lengths = self.ends - begins
        if not len(lengths) or lengths.max() <= longest:
            return self
        kept = np.arange(len(self.ids)) - np.repeat(begins, lengths) < longest
        ends = np.cumsum(np.minimum(lengths, longest))
        return self._replace(ids=self.ids[kept], targets=self.targets[kept], ends=ends)

    def begin_with(self, token: int) -> TokenBatch:
        """Put a token that is no target before the rows that do not begin with it."""
        begins = self.begins
        lengths = self.ends - begins
        first = np.full(len(lengths), -1)
        first[lengths > 0] = self.ids[begins[lengths > 0]]
        lacking = first != token
        ends = self.ends + np.cumsum(lacking)
        places = begins[lacking]
        return self._replace(
            ids=np.insert(self.ids, places, np.int32(token)),
            targets=np.insert(self.targets, places, False),
            ends=ends,
        )
