"""Compares a trial's scorings with its own best so far, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import find_metric
from core.train.evaluation.probe_runner import Scored
from core.train.probes.metric_probe import change_from

FEWER = 2  # a score on less than half of the samples is not compared with one on more


class BestSamples:
    """The best scoring so far of each metric that has a value for each sample."""

    def __init__(self) -> None:
        self._best: dict[str, dict[str, Any]] = {}

    def compare(self, scored: Scored, step: int) -> dict[str, Score]:
        """Compare the scoring of ``step`` with the best before, and keep it if it is better. Returns the
        changes by metric."""
        changes = {}
        for name, values in scored.values.items():
            score = scored.scores.get(name)
            if score is None or score.value is None:
                continue
            best = self._best.get(name)
            if best is not None:
                before = [math.nan if value is None else value for value in best["values"]]
                change = change_from(name, values, before, scored.weights.get(name, ()))
                if change is not None:
                    changes[name] = change.add_note(f"step {best['step']}")
            if best is None or _is_better(name, score, best):
                finite_values = [value if math.isfinite(value) else None for value in values]
                self._best[name] = {
                    "step": step, "value": score.value, "samples": score.samples, "values": finite_values,
                }  # fmt: skip
        return changes

    def numbers(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return dict(self._best)

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Continue from ``numbers``."""
        self._best = dict(numbers)


def _is_better(name: str, score: Score, best: Mapping[str, Any]) -> bool:
    """Whether the score replaces the best. A value from few samples is luck: it never replaces one from many,
    and one from many always replaces it."""
    if score.samples > FEWER * best["samples"]:
        return True
    metric, value = find_metric(name), score.value
    if metric is None or value is None or FEWER * score.samples < best["samples"]:
        return False
    result: bool = value < best["value"] if metric.direction == "minimize" else value > best["value"]
    return result
