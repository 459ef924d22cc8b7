"""The evaluation of a trial on its validation rows."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping

from core.contract.events import event_types as e
from core.contract.spec.metric_table import FORGETTING, SOURCE
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.evaluate.metrics.loss_metrics import Sums
from core.evaluate.statistics.early_stopping_patience import EarlyStopping
from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import Data, Row, cut, has_target
from core.train.data.mixture_rows import find_source
from core.train.evaluation.trial_scores import Scorecard
from core.train.step.compute_requests import Judge, Rate, Request, Result, TimedResult
from core.train.step.forward_pass import Item, count_targets
from core.train.trial.checkpoint_record import Partial

MOST_ROWS = 200  # rows whose own losses are reported


class HeldOutRows:
    """The held-out rows, shortest first to reduce padding.

    A pruner that compares row by row, and a paired comparison, need each row's loss; otherwise the loss of a
    batch is summed on the device. All trials of a study are evaluated on the same tokens, whatever their
    sequence_length: rows are cut to the longest that any trial may have, and to the ``positions`` of the
    base. With a mixture, a batch has rows of one source.
    """

    def __init__(self, spec: StudySpec, data: Data, positions: int | None = None) -> None:
        length = find_longest_sequence(spec)
        length = length if positions is None else min(length, positions)
        rows = data.shorten(length)[1]
        self._size = spec.evaluate.batch_size
        self.by_row = spec.study.pruner == "wilcoxon" or spec.evaluate.row_losses
        mixture = data.mixture.sizes if data.mixture is not None else ()
        self._replayed = {size.name for size in mixture if size.replay}
        sources = [find_source(row) if mixture else "" for row in rows]
        order = sorted(range(len(rows)), key=lambda at: (sources[at], len(rows[at].ids)))  # stable
        self._rows = [rows[at] for at in order]
        self._sources = [sources[at] for at in order]
        self._places: list[int] = []  # positions of these rows among the study's
        if self.by_row:
            usable_places = [at for at, row in enumerate(data.validation) if has_target(cut(row, length))]
            self._places = [usable_places[at] for at in order]
        self._all = len(data.validation)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, first: int) -> list[Row]:
        """The rows of the batch that starts at row ``first``."""
        source, end = self._sources[first], first + 1
        while end < min(first + self._size, len(self._rows)) and self._sources[end] == source:
            end += 1
        return self._rows[first:end]

    @property
    def has_replayed(self) -> bool:
        """Whether any row is of a replayed source."""
        return any(map(self.is_replayed, range(len(self))))

    def is_replayed(self, place: int) -> bool:
        """Whether the row at this place is of a replayed source."""
        return self._sources[place] in self._replayed

    def find_replayed_loss(self, sources: Mapping[str, Sums]) -> float | None:
        """The loss of the replayed sources' rows, nats/token; None where it is not finite, or there are
        none."""
        total = Sums()
        for name, sums in sources.items():
            if name in self._replayed:
                total.add(sums.loss, sums.tokens, sums.correct)
        return total.compute_metrics().get("eval/loss")

    def make_request(self, factors: Factors, rows: list[Row]) -> Judge | Rate:
        """The request for these rows."""
        items = [Item(factors, row) for row in rows]
        return Rate(items) if self.by_row else Judge(items)

    def take(self, rows: list[Row], result: Result, partial: Partial) -> None:
        """Add the results to the sums of ``partial``, and the rows' mean losses to its losses. Rows of
        replayed sources count for their source alone: the trial is not tuned for them."""
        source = self._sources[partial.judged]
        sums = [] if source in self._replayed else [partial.sums]
        sums += [partial.sources.setdefault(source, Sums())] if source else []
        for row_sum in sums:
            if not self.by_row:
                row_sum.add(result.loss, count_targets(rows), result.hits)
            for reading in result.answers if self.by_row else ():
                row_sum.add(reading.loss, reading.tokens, int(sum(reading.firsts)))  # type: ignore[union-attr]
        if self.by_row:
            partial.losses += [reading.loss / reading.tokens for reading in result.answers]  # type: ignore[union-attr]

    def row_losses(self, losses: list[float]) -> tuple[float, ...]:
        """The rows' losses to four digits, in the order that all trials of the study share; NaN for a row
        that this trial does not have. Empty unless all of them are known."""
        if not self.by_row or len(losses) != len(self._rows):
            return ()
        by_row = [math.nan] * self._all
        for place, loss in zip(self._places, losses, strict=True):
            by_row[place] = float(f"{loss:.4g}")
        return tuple(by_row[:MOST_ROWS])


class Validation:
    """Evaluates one trial, and decides when it has stopped improving."""

    def __init__(self, spec: StudySpec, data: Data, positions: int | None, card: Scorecard) -> None:
        self._held, self._card = HeldOutRows(spec, data, positions), card
        goal = spec.study.objectives[0]
        self._goal = goal.metric if goal.metric.startswith("eval/") else "eval/loss"
        direction = goal.direction if self._goal == goal.metric else "minimize"
        self.early_stopping = EarlyStopping(spec.evaluate.patience, spec.evaluate.min_delta, direction)
        self.step = -1  # of the last evaluation
        self.why = ""  # why it stopped training
        self.start_loss: float | None = None  # of replayed sources, before the first step

    def measure_start(self, factors: Factors) -> Generator[Request, TimedResult, None]:
        """Evaluate the replayed sources before the first step, once: what is forgotten is the rise of this
        loss, which is that of the base, or of ``model.adapter``."""
        if self.start_loss is not None or not self._held.has_replayed:
            return
        partial = Partial()
        while partial.judged < len(self._held):
            rows = self._held.batch(partial.judged)
            if self._held.is_replayed(partial.judged):
                result, _ = yield self._held.make_request(factors, rows)
                self._held.take(rows, result, partial)
            partial.judged += len(rows)
        self.start_loss = self._held.find_replayed_loss(partial.sources)

    def evaluate(
        self, factors: Factors, step: int, elapsed_s: float, partial: Partial
    ) -> Generator[Request, TimedResult, bool]:
        """Evaluate after ``step``, continuing from ``partial``, and report. Returns whether it is the best
        evaluation so far."""
        while partial.judged < len(self._held):
            rows = self._held.batch(partial.judged)
            result, _ = yield self._held.make_request(factors, rows)
            self._held.take(rows, result, partial)
            partial.judged += len(rows)
        metrics, losses = partial.sums.compute_metrics(), self._held.row_losses(partial.losses)
        own = ((name, sums.compute_metrics()) for name, sums in partial.sources.items())
        metrics |= {f"{SOURCE}{name}": values["eval/loss"] for name, values in own if "eval/loss" in values}
        now = self._held.find_replayed_loss(partial.sources)
        if now is not None and self.start_loss is not None:
            metrics[FORGETTING] = now - self.start_loss
        self.step = step
        self._card.latest.update(metrics)
        self._card.reporter.emit(
            e.TrialEvaluated, step=step, elapsed_s=elapsed_s, metrics=metrics, rows=losses
        )
        value, best = metrics.get(self._goal), self.early_stopping.best
        why = self.early_stopping.update(value) if value is not None else None
        self.why = why or ""
        return self.early_stopping.best != best
