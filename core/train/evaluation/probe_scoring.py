"""Scores a model with probes, some samples of each in turn, until all are scored or it must stop early."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics.validation_slices import SMALLEST
from core.evaluate.statistics import drift_test
from core.train.adapters.lora_factors import Factors
from core.train.evaluation.metric_probe import Ask, Probe
from core.train.step.compute_requests import Prompt, Rate, ScoringRequest, TimedResult, Turn, Wait, Write
from core.train.step.forward_pass import Item

FEWEST = 2  # samples of a probe in the first turn, which always runs; and samples of a reported change


@dataclass
class Scored:
    """Scores by metric; the samples' values and weights (equal if there are none); the worst samples; and the
    change against the base on the same samples, where both have values."""

    scores: dict[str, Score] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    worst: dict[str, list[Sample]] = field(default_factory=dict)
    changes: dict[str, Score] = field(default_factory=dict)
    took_s: float = 0.0

    def join(self, other: Scored) -> None:
        """Add what another scoring found."""
        for name in ("scores", "values", "weights", "worst", "changes"):
            getattr(self, name).update(getattr(other, name))


Life = Generator[ScoringRequest, TimedResult, Scored]
Values = Mapping[str, Sequence[float]]  # the base's value of each sample, by metric


def score_probes(
    probes: Sequence[Probe],
    mine: Factors | None,
    base: Callable[[], Values | None],
    enough: Callable[[], bool] = lambda: False,
) -> Life:
    """Score a snapshot, or the base itself (``mine`` None), with ``probes``.

    The first turn always runs; further ones until ``enough``. ``base`` gives the base's values, or None while
    they are not known yet: the scoring waits for them.
    """
    scored, answers = Scored(), [list[Sequence[Any]]() for _ in probes]
    most: int | None = FEWEST
    while parts := _next_turn(probes, answers, most):
        done, took_s = yield Turn(
            tuple(_request([(probes[index], samples) for index, samples in part], mine) for part in parts)
        )
        scored.took_s += took_s
        for part, results in zip(parts, done.parts, strict=True):
            _distribute(part, results, answers)
        if enough():
            break
        most = None
    while (values := base()) is None:
        yield Wait()
    for probe, own_answers in zip(probes, answers, strict=True):
        _take(scored, probe, own_answers, values)
    return scored


def asks(probes: Sequence[Probe]) -> int:
    """How many answers all samples of ``probes`` need."""
    return sum(len(sample) for probe in probes for sample in probe.asks)


Part = list[tuple[int, Sequence[Sequence[Ask]]]]  # of (index of the probe, its next samples)


def _next_turn(probes: Sequence[Probe], answers: Sequence[Sequence[Any]], most: int | None) -> list[Part]:
    """The next turn: rows with the same detail together, and prompts with the same longest completion."""
    kinds: dict[object, Part] = {}
    for index, (probe, answered) in enumerate(zip(probes, answers, strict=True)):
        samples = probe.asks[len(answered) : len(answered) + min(probe.turn, most or probe.turn)]
        if samples:
            kind = ("texts", probe.tokens) if probe.writes else ("rows", probe.detailed)
            kinds.setdefault(kind, []).append((index, samples))
    return list(kinds.values())


def _request(part: Sequence[tuple[Probe, Sequence[Sequence[Ask]]]], mine: Factors | None) -> Rate | Write:
    probe = part[0][0]
    asks = [ask for _, samples in part for sample in samples for ask in sample]
    if probe.writes:
        return Write([Prompt(mine, ask.prompt, ask.seed) for ask in asks], probe.tokens)
    return Rate([Item(mine, ask.row) for ask in asks if ask.row is not None], probe.detailed)


def _distribute(part: Part, results: Sequence[Any], answers: Sequence[list[Sequence[Any]]]) -> None:
    """Give each sample the answers to its questions."""
    rest = iter(results)
    for index, samples in part:
        answers[index] += [[next(rest) for _ in sample] for sample in samples]


def _take(
    scored: Scored, probe: Probe, answers: Sequence[Sequence[Any]], base: Mapping[str, Sequence[float]]
) -> None:
    try:
        result = probe.score_answers(answers, base.get(probe.metrics[0], ()))
    except Exception as error:  # a user's classifier may raise anything
        why = f"the scoring failed: {type(error).__name__}: {error}"[:300]
        scored.scores |= {metric: Score.unsaid(why, len(answers)) for metric in probe.metrics}
        return
    scores = result.scores
    if len(answers) < len(probe.asks):
        note = f"{len(answers)} of {len(probe.asks)} samples: there was no time for more"
        scores = {metric: score.noting(note) for metric, score in scores.items()}
    scored.scores |= scores
    scored.values |= result.values
    scored.weights |= result.weights
    scored.worst |= result.worst
    for metric, values in result.values.items():
        if metric in RELATIVE:
            continue
        change = change_from(metric, values, base.get(metric, ()), result.weights.get(metric, ()))
        if change is not None:
            scored.changes[metric] = change


RELATIVE = ("quality/forgetting",)  # metrics that are changes against the base already


def change_from(
    metric: str, now: Sequence[float], base: Sequence[float], weights: Sequence[float] = ()
) -> Score | None:
    """The mean change on the samples that have a value in both; None if they are too few."""
    both = list(zip(now, base, strict=False))
    kept = [index for index, (value, before) in enumerate(both) if math.isfinite(value + before)]
    if len(kept) < (SMALLEST if metric.startswith(SLICE) else FEWEST):
        return None
    counts = [weights[index] for index in kept] if len(weights) else ()
    return drift_test.paired(
        [both[index][0] for index in kept], [both[index][1] for index in kept], weights=counts
    )
