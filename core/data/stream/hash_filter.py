"""Tells quickly which hashes of a long list are among some known ones."""

from __future__ import annotations

import numpy as np

from core.data.stream.word_hashes import Hashes, Indices

BITS = 20  # of each hash; a table of a megabyte says of most hashes that they are unknown


class HashFilter:
    """Known hashes: a table by their first bits, and the sorted hashes themselves."""

    def __init__(self, known: Hashes) -> None:
        self.known = np.unique(known)
        self._table = np.zeros(1 << BITS, bool)
        self._table[self.known >> np.uint64(64 - BITS)] = True

    def find(self, hashes: Hashes) -> Indices:
        """Return the indices of the known hashes among ``hashes``."""
        if not len(self.known):
            return np.empty(0, np.int64)
        maybe = np.flatnonzero(self._table[hashes >> np.uint64(64 - BITS)])
        places = np.searchsorted(self.known, hashes[maybe])
        places = np.minimum(places, len(self.known) - 1)
        return np.asarray(maybe[self.known[places] == hashes[maybe]])
