"""What a trial's knobs make of its data: the rows of every step, and how many steps there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.contract.spec.knob_table import Value
from core.train.data.dataset import Row
from core.train.data.row_order import Order


class Since(NamedTuple):
    """What a trial had had when it began to take its rows as it does now. All 0 but for a clone that takes
    more or fewer of them at a time than its parent did: it goes on where in the order its parent stood."""

    step: int = 0
    rows: int = 0
    micro_batches: int = 0


BEGINNING = Since()


class Course:
    """A function of the rows, the knobs and ``since`` alone."""

    def __init__(self, rows: Sequence[Row], knobs: Mapping[str, Value], since: Since = BEGINNING) -> None:
        self.since, self._rows = since, rows
        self.batch, self.accumulation = size(knobs)
        self._order = Order(rows, self.batch, int(knobs["seed"]), since.rows)  # type: ignore[arg-type]
        self.total_steps = self._count_steps(knobs)

    def _count_steps(self, knobs: Mapping[str, Value]) -> int:
        if knobs.get("steps"):
            return int(knobs["steps"])  # type: ignore[arg-type]
        rows = float(knobs["epochs"]) * len(self._rows) - self.since.rows  # type: ignore[arg-type]
        return max(1, self.since.step + math.ceil(rows / (self.batch * self.accumulation)))

    def starting(self, since: Since, knobs: Mapping[str, Value]) -> Course:
        """The same rows by the same knobs, ``since`` another step."""
        return self if since == self.since else Course(self._rows, knobs, since)

    def first(self, step: int) -> int:
        """How many micro-batches the trial had had when ``step`` (0 is the first) began."""
        return self.since.micro_batches + (step - self.since.step) * self.accumulation

    def micro_batches(self, step: int) -> list[list[Row]]:
        """The rows of ``step``."""
        first = (step - self.since.step) * self.accumulation
        return [self._order.micro_batch(first + one) for one in range(self.accumulation)]


def size(knobs: Mapping[str, Value]) -> tuple[int, int]:
    """Rows of a micro-batch, and micro-batches of a step."""
    return int(knobs["batch_size"]), int(knobs["gradient_accumulation"])  # type: ignore[arg-type]


def had(since: Since, knobs: Mapping[str, Value], step: int) -> Since:
    """What a trial with these knobs has had after ``step`` whole steps."""
    batch, accumulation = size(knobs)
    micro_batches = (step - since.step) * accumulation
    return Since(step, since.rows + micro_batches * batch, since.micro_batches + micro_batches)
