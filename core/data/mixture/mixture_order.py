"""The order of rows that are drawn from several sources: a function of the seed and of a row's place alone.

The source of the k-th row is where the k-th point of a Kronecker sequence falls (k times the golden ratio,
modulo 1): of all such sequences it spreads points most evenly, so each share holds in every short window,
within two rows or so. How often a source was drawn before any place is a sum of floors, which Euclid's
algorithm gives in a few steps (Graham, Knuth and Patashnik, Concrete Mathematics, section 3.5): continuing
at a row needs its number, and no pass over the rows before it.
"""

from __future__ import annotations

import itertools
import zlib
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

WHOLE = 1 << 64
GOLDEN = 0x9E3779B97F4A7C15  # the golden ratio minus 1, of WHOLE; odd
OFFSET = 0xD1B54A32D192ED03  # odd: neighbouring seeds begin far from each other


def sum_floors(count: int, modulus: int, factor: int, offset: int) -> int:
    """Return the sum of (factor · i + offset) // modulus over i from 0 to count - 1, of numbers from 0."""
    total = 0
    while count > 0:
        total += count * (count - 1) // 2 * (factor // modulus) + count * (offset // modulus)
        factor, offset = factor % modulus, offset % modulus
        top = factor * count + offset
        count, offset, modulus, factor = top // modulus, top % modulus, factor, modulus
    return total


class SourceRows:
    """One source's own rows in its own order, reshuffled in each epoch. The order depends on the seed and the
    source's name, not on the other sources."""

    def __init__(self, name: str, rows: Sequence[int], seed: int) -> None:
        self.rows, self._key = rows, (seed, zlib.crc32(name.encode()))
        self._epochs: dict[int, np.ndarray] = {}

    def find_row(self, place: int) -> int:
        """Return the row that is drawn after ``place`` others of this source."""
        epoch, at = divmod(place, len(self.rows))
        return self.rows[int(self._shuffle(epoch)[at])]

    def list_first(self, count: int) -> list[int]:
        """Return the rows that are drawn first, each once: no more than there are."""
        return [self.rows[int(at)] for at in self._shuffle(0)[:count]] if count else []

    def _shuffle(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            self._epochs = {old: order for old, order in self._epochs.items() if old >= epoch - 1}
            self._epochs[epoch] = np.random.default_rng((*self._key, epoch)).permutation(len(self.rows))
        return self._epochs[epoch]


class MixtureOrder:
    """The rows of several sources in the order in which they are drawn.

    ``shares`` are those of the sources, in their order; they need not add up to 1, and a source without rows
    has the share 0. From the place ``start`` on, each source continues after the rows in ``drawn``.
    """

    def __init__(
        self,
        sources: Sequence[SourceRows],
        shares: Sequence[float],
        seed: int,
        start: int = 0,
        drawn: Sequence[int] = (),
    ) -> None:
        total, so_far = sum(shares), 0.0
        self._sources, self._offset = sources, (seed * OFFSET) % WHOLE
        self._edges: list[int] = []  # where the source after the first ends, the second and so on
        for share in shares:
            so_far += share
            self._edges.append(min(WHOLE, round(so_far / total * WHOLE)))
        last = max(at for at, share in enumerate(shares) if share > 0)
        self._edges[last:] = [WHOLE] * (len(shares) - last)  # the rounding errors of the sum
        before = self._count_points(start)
        self._ahead = [points - passed for points, passed in zip(drawn or before, before, strict=True)]
        self._at, self._counts = start, list(drawn or before)

    def draw(self, first: int, count: int) -> list[int]:
        """Return the rows at the places from ``first`` on."""
        counts, rows = self.count_rows(first), list[int]()
        for place in range(first, first + count):
            point = (self._offset + place * GOLDEN) % WHOLE
            source = bisect_right(self._edges, point)
            rows.append(self._sources[source].find_row(counts[source]))
            counts[source] += 1
        self._at, self._counts = first + count, counts
        return rows

    def count_rows(self, until: int) -> list[int]:
        """Return how many rows of each source are drawn before the place ``until``."""
        if until == self._at:
            return list(self._counts)
        return [points + ahead for points, ahead in zip(self._count_points(until), self._ahead, strict=True)]

    def list_first(self, until: int) -> list[int]:
        """Return the different rows that are drawn before ``until``, as long as each source is in its first
        epoch, and all rows of a source that is beyond it."""
        counts = zip(self._sources, self.count_rows(until), strict=True)
        return [row for source, count in counts for row in source.list_first(count)]

    def _count_points(self, until: int) -> list[int]:
        """Return how many of the first ``until`` points fall into each source's interval."""
        below = [0, *(self._count_below(edge, until) for edge in self._edges)]
        return [end - begin for begin, end in itertools.pairwise(below)]

    def _count_below(self, edge: int, until: int) -> int:
        start = self._offset + WHOLE
        return sum_floors(until, WHOLE, GOLDEN, start) - sum_floors(until, WHOLE, GOLDEN, start - edge)
