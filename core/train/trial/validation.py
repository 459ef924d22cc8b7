"""The validation rows of a trial: makes its evaluation requests and sums up their results."""

from __future__ import annotations

import math

from core.contract.spec.knob_range import longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.evaluate.metrics.loss_metrics import Sums
from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import Data, Row, cut, has_target
from core.train.step.compute_requests import Done, Judge, Rate
from core.train.step.forward_pass import Item, count_targets

MOST_ROWS = 200  # rows whose own losses are reported


class HeldOutRows:
    """The held-out rows, shortest first to reduce padding.

    A pruner that compares row by row needs each row's loss; otherwise the loss of a batch is summed on the
    device. All trials of a study are evaluated on the same tokens, whatever their sequence_length: rows are
    cut to the longest that any trial may have, and to the ``positions`` of the base.
    """

    def __init__(self, spec: StudySpec, data: Data, positions: int | None = None) -> None:
        length = longest_sequence(spec)
        length = length if positions is None else min(length, positions)
        rows = data.shortened(length)[1]
        self._size, self.by_row = spec.evaluate.batch_size, spec.study.pruner == "wilcoxon"
        order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))  # stable
        self._rows = [rows[at] for at in order]
        self._places: list[int] = []  # positions of these rows among the study's
        if self.by_row:
            known = [at for at, row in enumerate(data.validation) if has_target(cut(row, length))]
            self._places = [known[at] for at in order]
        self._all = len(data.validation)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, first: int) -> list[Row]:
        """The rows of the batch that starts at row ``first``."""
        return self._rows[first : first + self._size]

    def want(self, mine: Factors, rows: list[Row]) -> Judge | Rate:
        """The request for these rows."""
        items = [Item(mine, row) for row in rows]
        return Rate(items) if self.by_row else Judge(items)

    def take(self, rows: list[Row], done: Done, sums: Sums, losses: list[float]) -> None:
        """Add the results to ``sums``, and the rows' mean losses to ``losses``."""
        if not self.by_row:
            sums.add(done.loss, count_targets(rows), done.hits)
            return
        for reading in done.answers:
            sums.add(reading.loss, reading.tokens, int(sum(reading.firsts)))  # type: ignore[union-attr]
            losses.append(reading.loss / reading.tokens)  # type: ignore[union-attr]

    def row_losses(self, losses: list[float]) -> tuple[float, ...]:
        """The rows' losses to four digits, in the order that all trials of the study share; NaN for a row
        that this trial does not have. Empty unless all of them are known."""
        if not self.by_row or len(losses) != len(self._rows):
            return ()
        by_row = [math.nan] * self._all
        for place, loss in zip(self._places, losses, strict=True):
            by_row[place] = float(f"{loss:.4g}")
        return tuple(by_row[:MOST_ROWS])
