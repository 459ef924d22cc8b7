"""Which rows a trial trains on, and when: an endless sequence of shuffled epochs, drawn from its seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.train.data.dataset import Row

EPOCH_STRIDE = 1_000_003  # a prime: epochs of one seed are not those of the next


class Order:
    """A function of its seed alone: a resumed trial needs no more than the number of its next batch. The
    first batch begins after ``skipped`` rows: the sequence is the same however many are taken at a time."""

    def __init__(self, rows: Sequence[Row], batch: int, seed: int, skipped: int = 0) -> None:
        self._rows, self._batch, self._seed, self._skipped = rows, batch, seed, skipped
        self._epochs: dict[int, list[int]] = {}

    def micro_batch(self, index: int) -> list[Row]:
        """The ``index``-th micro-batch, from 0. It may reach into the next epoch."""
        first = self._skipped + index * self._batch
        places = range(first, first + self._batch)
        whole = len(self._rows)
        return [self._rows[self._shuffled(place // whole)[place % whole]] for place in places]

    def _shuffled(self, epoch: int) -> list[int]:
        if epoch not in self._epochs:
            draw = torch.Generator().manual_seed(self._seed * EPOCH_STRIDE + epoch)
            self._epochs = {known: one for known, one in self._epochs.items() if known >= epoch - 1}
            self._epochs[epoch] = torch.randperm(len(self._rows), generator=draw).tolist()
        return self._epochs[epoch]
