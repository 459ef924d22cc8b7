"""The training plan that follows from a trial's knobs: the rows of every step, and the number of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from core.contract.spec.knob_table import Value
from core.data.mixture.mixture_shares import Mixture
from core.train.data.dataset import Row
from core.train.data.mixture_rows import MixedRows

EPOCH_STRIDE = 1_000_003  # a prime: neighbouring seeds share no epochs
EARLY = 4  # canaries are among the first rows, one in this many


class Order:
    """The row order, which depends only on its seed: a resumed trial needs only the index of its next batch.
    The first batch begins after ``skipped`` rows; the sequence is the same for every batch size. Canaries are
    among the first rows: a short trial would see none otherwise, and their exposure would say nothing."""

    def __init__(self, rows: Sequence[Row], batch: int, seed: int, skipped: int = 0) -> None:
        self._rows, self._batch, self._seed, self._skipped = rows, batch, seed, skipped
        self._epochs: dict[int, list[int]] = {}

    def micro_batch(self, index: int) -> list[Row]:
        """The ``index``-th micro-batch, from 0. It may reach into the next epoch."""
        first = self._skipped + index * self._batch
        places = range(first, first + self._batch)
        size = len(self._rows)
        return [self._rows[self._shuffle(place // size)[place % size]] for place in places]

    def _shuffle(self, epoch: int) -> list[int]:
        if epoch not in self._epochs:
            draw = torch.Generator().manual_seed(self._seed * EPOCH_STRIDE + epoch)
            self._epochs = {old: order for old, order in self._epochs.items() if old >= epoch - 1}
            order = torch.randperm(len(self._rows), generator=draw).tolist()
            self._epochs[epoch] = order if epoch else self._put_canaries_early(order, draw)
        return self._epochs[epoch]

    def _put_canaries_early(self, order: list[int], draw: torch.Generator) -> list[int]:
        """``order`` with the canaries at random places within its beginning."""
        planted = [index for index in order if self._rows[index].planted]
        if not planted:
            return order
        span = min(len(order), EARLY * len(planted))
        places = set(torch.randperm(span, generator=draw)[: len(planted)].tolist())
        canaries, rest = iter(planted), (index for index in order if not self._rows[index].planted)
        return [next(canaries) if place in places else next(rest) for place in range(len(order))]

    def first(self, count: int) -> list[int]:
        """The numbers of the first ``count`` rows of the first epoch."""
        return [self._rows[index].number for index in self._shuffle(0)[:count]]


class ScheduleStart(NamedTuple):
    """The work that was done when a trial began to use its current batch size and mixture. All 0, except for
    a clone with another batch size or mixture than its parent: it continues where its parent stopped in the
    row order."""

    step: int = 0
    rows: int = 0
    micro_batches: int = 0
    drawn: tuple[int, ...] = ()  # rows of each source of a mixture


BEGINNING = ScheduleStart()


class BatchSchedule:
    """The rows of each step; depends only on the rows, the knobs, the mixture and ``since``."""

    def __init__(
        self,
        rows: Sequence[Row],
        knobs: Mapping[str, Value],
        since: ScheduleStart = BEGINNING,
        mixture: Mixture | None = None,
    ) -> None:
        """Raises InfeasibleError for a mixture without rows."""
        self.since, self._rows, self._mixture = since, rows, mixture
        self.batch, self.accumulation = find_size(knobs)
        self._order: Order | MixedRows
        if mixture is None:
            self._order = Order(rows, self.batch, int(knobs["seed"]), since.rows)  # type: ignore[arg-type]
        else:
            self._order = MixedRows(rows, self.batch, knobs, mixture, since.rows, since.drawn)
        self.total_steps = self._count_steps(knobs)

    def _count_steps(self, knobs: Mapping[str, Value]) -> int:
        if knobs.get("steps"):
            return int(knobs["steps"])  # type: ignore[arg-type]
        rows = float(knobs["epochs"]) * len(self._rows) - self.since.rows  # type: ignore[arg-type]
        return max(1, self.since.step + math.ceil(rows / (self.batch * self.accumulation)))

    def start_at(self, since: ScheduleStart, knobs: Mapping[str, Value]) -> BatchSchedule:
        """The course of the same rows and knobs that starts at ``since``."""
        return self if since == self.since else BatchSchedule(self._rows, knobs, since, self._mixture)

    def first(self, step: int) -> int:
        """How many micro-batches the trial has done when ``step`` (0 is the first) begins."""
        return self.since.micro_batches + (step - self.since.step) * self.accumulation

    def micro_batches(self, step: int) -> list[list[Row]]:
        """The micro-batches of ``step``."""
        first = (step - self.since.step) * self.accumulation
        return [self._order.micro_batch(first + index) for index in range(self.accumulation)]

    def rows_trained(self, step: int) -> frozenset[int]:
        """The numbers of the rows that the trial has trained on after ``step`` completed steps."""
        return frozenset(self._order.first(self._count_rows_before(step)))

    def drawn(self, step: int) -> tuple[int, ...]:
        """How many rows were drawn from each source of a mixture after ``step`` completed steps."""
        return self._order.counts(self._count_rows_before(step)) if isinstance(self._order, MixedRows) else ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each source of a mixture in the rows that are drawn."""
        return self._order.shares if isinstance(self._order, MixedRows) else ()

    def _count_rows_before(self, step: int) -> int:
        return self.since.rows + (step - self.since.step) * self.accumulation * self.batch


def find_size(knobs: Mapping[str, Value]) -> tuple[int, int]:
    """The number of rows per micro-batch, and of micro-batches per step."""
    return int(knobs["batch_size"]), int(knobs["gradient_accumulation"])  # type: ignore[arg-type]


def count_work_after(since: ScheduleStart, knobs: Mapping[str, Value], step: int) -> ScheduleStart:
    """The work that a trial with these knobs has done after ``step`` completed steps."""
    batch, accumulation = find_size(knobs)
    micro_batches = (step - since.step) * accumulation
    return ScheduleStart(step, since.rows + micro_batches * batch, since.micro_batches + micro_batches)
