"""What a trial scored best so far, sample by sample: what its later scorings are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.contract.board_score import Score
from core.contract.spec.metric_table import known
from core.train.evaluation.probe_scoring import RELATIVE, Scored, changed

FEWER = 2  # a reading on less than half of the samples is no rival of one on more


class Past:
    """Of each metric with a value for each sample: the best scoring so far."""

    def __init__(self) -> None:
        self._best: dict[str, dict[str, Any]] = {}

    def compare(self, scored: Scored, step: int) -> dict[str, Score]:
        """The changes of ``scored``, of ``step``, since the best scoring before; it may become the best."""
        found = {}
        for name, values in scored.values.items():
            score = scored.scores.get(name)
            if name in RELATIVE or score is None or score.value is None:
                continue
            best = self._best.get(name)
            if best is not None:
                before = [math.nan if one is None else one for one in best["values"]]
                change = changed(name, values, before, scored.weights.get(name, ()))
                if change is not None:
                    found[name] = change.noting(f"step {best['step']}")
            if best is None or _better(name, score, best):
                kept = [one if math.isfinite(one) else None for one in values]
                self._best[name] = {
                    "step": step, "value": score.value, "samples": score.samples, "values": kept,
                }  # fmt: skip
        return found

    def numbers(self) -> dict[str, Any]:
        """For a checkpoint."""
        return dict(self._best)

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Go on from ``numbers``."""
        self._best = dict(numbers)


def _better(name: str, score: Score, best: Mapping[str, Any]) -> bool:
    """A value on few samples is luck: it takes no place of one on many, and loses its own to one."""
    if score.samples > FEWER * best["samples"]:
        return True
    metric, value = known(name), score.value
    if metric is None or value is None or FEWER * score.samples < best["samples"]:
        return False
    return value < best["value"] if metric.direction == "minimize" else value > best["value"]
