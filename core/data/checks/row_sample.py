"""A random sample of a stream whose length is not known."""

from __future__ import annotations

import random
from typing import Generic, TypeVar

T = TypeVar("T")
SEED = 20  # the same file gives the same sample


class Reservoir(Generic[T]):
    """Every item of the stream is in the sample with the same probability (Vitter 1985, algorithm R)."""

    def __init__(self, size: int) -> None:
        self._size, self._random = size, random.Random(SEED)
        self._kept: list[tuple[int, T]] = []
        self.count = 0

    def add(self, item: T) -> None:
        """Offer the next item of the stream to the sample."""
        self.count += 1
        if len(self._kept) < self._size:
            self._kept.append((self.count, item))
        elif (place := self._random.randrange(self.count)) < self._size:
            self._kept[place] = (self.count, item)

    def sample(self) -> list[T]:
        """Return the sampled items in the order of the stream."""
        return [item for _, item in sorted(self._kept, key=lambda pair: pair[0])]
