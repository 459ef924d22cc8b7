"""The validation rows of a trial: what it wants of them, and what it learns from the answers."""

from __future__ import annotations

import math

from core.contract.spec.knob_range import longest_sequence
from core.contract.spec.study_spec import Spec
from core.evaluate.metrics.loss_metrics import Sums
from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import Data, Row, cut, has_target
from core.train.step.forward_pass import Item, count_targets
from core.train.step.step_requests import Done, Judge, Rate

MOST_ROWS = 200  # whose losses are told one by one


class Held:
    """Shortest first, which is less padding. A pruner that compares row by row has each row rated; for all
    others the loss of a batch is summed on the device.

    All trials of a study are judged on the same tokens, whatever their sequence_length: up to the longest
    that any of them may have, and no more than the base has ``positions`` for.
    """

    def __init__(self, spec: Spec, data: Data, positions: int | None = None) -> None:
        length = longest_sequence(spec)
        length = length if positions is None else min(length, positions)
        rows = data.shortened(length)[1]
        self._size, self.by_row = spec.evaluate.batch_size, spec.study.pruner == "wilcoxon"
        order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))  # stable
        self._rows = [rows[at] for at in order]
        self._places: list[int] = []  # of these rows among those of the study
        if self.by_row:
            known = [at for at, row in enumerate(data.validation) if has_target(cut(row, length))]
            self._places = [known[at] for at in order]
        self._all = len(data.validation)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, first: int) -> list[Row]:
        """The rows to be judged together with the ``first``-th."""
        return self._rows[first : first + self._size]

    def want(self, mine: Factors, rows: list[Row]) -> Judge | Rate:
        """What is wanted of these rows."""
        items = [Item(mine, row) for row in rows]
        return Rate(items) if self.by_row else Judge(items)

    def take(self, rows: list[Row], done: Done, sums: Sums, losses: list[float]) -> None:
        """Add what came of it to ``sums``, and the rows' mean losses to ``losses``."""
        if not self.by_row:
            sums.add(done.loss, count_targets(rows), done.hits)
            return
        for one in done.answers:
            sums.add(one.loss, one.tokens, int(sum(one.firsts)))  # type: ignore[union-attr]
            losses.append(one.loss / one.tokens)  # type: ignore[union-attr]

    def told(self, losses: list[float]) -> tuple[float, ...]:
        """The rows' losses, four digits of each, as all trials of the study order them; NaN for a row that
        this one does not have. Nothing where not all of them are known."""
        if not self.by_row or len(losses) != len(self._rows):
            return ()
        found = [math.nan] * self._all
        for place, loss in zip(self._places, losses, strict=True):
            found[place] = float(f"{loss:.4g}")
        return tuple(found[:MOST_ROWS])
