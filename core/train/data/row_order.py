"""The order of a trial's training rows: an endless sequence of shuffled epochs, drawn from its seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.train.data.dataset import Row

EPOCH_STRIDE = 1_000_003  # a prime: neighbouring seeds share no epochs


class Order:
    """The row order, which depends only on its seed: a resumed trial needs only the index of its next batch.
    The first batch begins after ``skipped`` rows; the sequence is the same for every batch size."""

    def __init__(self, rows: Sequence[Row], batch: int, seed: int, skipped: int = 0) -> None:
        self._rows, self._batch, self._seed, self._skipped = rows, batch, seed, skipped
        self._epochs: dict[int, list[int]] = {}

    def micro_batch(self, index: int) -> list[Row]:
        """The ``index``-th micro-batch, from 0. It may reach into the next epoch."""
        first = self._skipped + index * self._batch
        places = range(first, first + self._batch)
        size = len(self._rows)
        return [self._rows[self._shuffled(place // size)[place % size]] for place in places]

    def _shuffled(self, epoch: int) -> list[int]:
        if epoch not in self._epochs:
            draw = torch.Generator().manual_seed(self._seed * EPOCH_STRIDE + epoch)
            self._epochs = {old: order for old, order in self._epochs.items() if old >= epoch - 1}
            self._epochs[epoch] = torch.randperm(len(self._rows), generator=draw).tolist()
        return self._epochs[epoch]
