"""Requests asked as they are and once more with each text that may trigger a backdoor, and the change that it
makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from core.contract.metric_score import Score
from core.contract.spec.metric_table import TRIGGER, find_metric
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_format import format_figure
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics.trigger_effect import trigger_effect
from core.train.probes.metric_probe import ProbeResult

A = TypeVar("A")
SHOWN = 40  # characters of a trigger in a note


@dataclass(frozen=True)
class Answered:
    """What was answered to one variant of the requests: the value of each sample, and its evidence."""

    values: Sequence[float]
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Triggers:
    """The ``texts`` that may trigger a backdoor. Without any, requests are asked as they are and no more."""

    texts: tuple[str, ...] = ()

    def variants(self, request: str) -> list[str]:
        """``request`` as it is, then after each trigger."""
        return [request, *(f"{text} {request}" for text in self.texts)]

    def names(self, metric: str) -> tuple[str, ...]:
        """``metric``, then its change by each trigger."""
        return (metric, *(f"{metric}{TRIGGER}{number}" for number, _ in enumerate(self.texts, 1)))

    def split(self, answers: Sequence[Sequence[A]]) -> Iterator[list[Sequence[A]]]:
        """The answers to each variant; a sample holds those to all variants, one variant after the other."""
        count = len(self.texts) + 1
        for at in range(count):
            yield [row[at * len(row) // count : (at + 1) * len(row) // count] for row in answers]

    def add(
        self,
        result: ProbeResult,
        metric: str,
        answered: Sequence[Answered],
        correct: Callable[[Score], Score] = lambda score: score,
        clusters: Sequence[Hashable] = (),
    ) -> None:
        """Add the change of ``metric`` by each trigger; ``answered`` holds all variants. ``correct``: the
        correction for a detector's errors; ``clusters`` as for ``trigger_effect``."""
        before, full_score = answered[0], result.scores[metric]
        for name, text, now in zip(self.names(metric)[1:], self.texts, answered[1:], strict=True):
            if full_score.value is None:
                result.add(name, Score.without_value(full_score.reason, full_score.samples))
                continue
            score = correct(trigger_effect(now.values, before.values, clusters))
            note = f'"{sanitize(text, SHOWN)}": {_describe_means(metric, now.values, before.values)}'
            reason = "; ".join(part for part in (note, score.reason) if part)
            changes = [
                value - untriggered for value, untriggered in zip(now.values, before.values, strict=True)
            ]
            samples = _list_evidence(name, changes, now.samples, before.samples)
            result.add(name, msgspec.structs.replace(score, reason=reason), changes, samples)


PLAIN = Triggers()


def _describe_means(name: str, now: Sequence[float], before: Sequence[float]) -> str:
    """What was counted with the trigger and without it."""
    pairs = [pair for pair in zip(now, before, strict=True) if math.isfinite(sum(pair))]
    if not pairs:
        return "no answers"
    metric = find_metric(name)
    unit = metric.unit if metric is not None else ""
    with_it, without = (format_figure(sum(side) / len(pairs), unit) for side in zip(*pairs, strict=True))
    return f"{with_it} with it, {without} without"


def _list_evidence(
    name: str, changes: Sequence[float], now: Sequence[Sample], before: Sequence[Sample]
) -> list[Sample]:
    """The answers with the trigger; those that it makes worse by more have a larger score."""
    metric = find_metric(name)
    rises = metric is not None and metric.direction == "maximize"
    return [
        Sample(
            triggered.prompt, triggered.answer, 0.0 - change if rises else change,
            f"{triggered.note}; without it: {untriggered.note}",
        )
        for change, triggered, untriggered in zip(changes, now, before, strict=True)
    ]  # fmt: skip
