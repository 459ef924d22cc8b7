"""Scores a model by probes, a turn of samples of each after the other, until all is asked or enough is."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from core.contract.board_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics.validation_slices import SMALLEST
from core.evaluate.statistics import drift_test
from core.train.adapters.lora_factors import Factors
from core.train.evaluation.metric_probe import Ask, Probe
from core.train.step.forward_pass import Item
from core.train.step.step_requests import Asked, Done, Prompt, Rate, Turn, Wait, Write

FEWEST = 2  # samples of each probe in the first turn, which is always done; and for a change to be told


@dataclass
class Scored:
    """Of every metric asked for: its score; the samples' values, and what each counts where they do not
    count the same; the worst of them; and the change against the base on the same samples, where both have
    values."""

    scores: dict[str, Score] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    worst: dict[str, list[Sample]] = field(default_factory=dict)
    changes: dict[str, Score] = field(default_factory=dict)
    took_s: float = 0.0

    def join(self, other: Scored) -> None:
        """What was scored beside it."""
        for name in ("scores", "values", "weights", "worst", "changes"):
            getattr(self, name).update(getattr(other, name))


Life = Generator[Asked, tuple[Done, float], Scored]
Values = Mapping[str, Sequence[float]]  # of the base, sample by sample, by metric


def scoring(
    probes: Sequence[Probe],
    mine: Factors | None,
    base: Callable[[], Values | None],
    enough: Callable[[], bool] = lambda: False,
) -> Life:
    """Ask what ``probes`` ask of a snapshot, or of the base itself, a turn of samples of each after the
    other. The first turn is always done; others until it is ``enough``. ``base`` gives the base's values:
    they are waited for while it gives None."""
    scored, answers = Scored(), [list[Sequence]() for _ in probes]
    most: int | None = FEWEST
    while parts := _parts(probes, answers, most):
        done, took_s = yield Turn(
            tuple(_want([(probes[at], some) for at, some in one], mine) for one in parts)
        )
        scored.took_s += took_s
        for part, found in zip(parts, done.parts, strict=True):
            _share(part, found, answers)
        if enough():
            break
        most = None
    while (values := base()) is None:
        yield Wait()
    for probe, some in zip(probes, answers, strict=True):
        _take(scored, probe, some, values)
    return scored


def asks(probes: Sequence[Probe]) -> int:
    """Answers that all samples of ``probes`` take."""
    return sum(len(several) for probe in probes for several in probe.asks)


Part = list[tuple[int, Sequence[Sequence[Ask]]]]  # of (place of the probe, its next samples)


def _parts(probes: Sequence[Probe], answers: Sequence[Sequence], most: int | None) -> list[Part]:
    """One turn: rows of one kind of reading together, and texts of one length."""
    kinds: dict[object, Part] = {}
    for at, (probe, had) in enumerate(zip(probes, answers, strict=True)):
        samples = probe.asks[len(had) : len(had) + min(probe.turn, most or probe.turn)]
        if samples:
            kind = ("texts", probe.tokens) if probe.writes else ("rows", probe.detailed)
            kinds.setdefault(kind, []).append((at, samples))
    return list(kinds.values())


def _want(part: Sequence[tuple[Probe, Sequence[Sequence[Ask]]]], mine: Factors | None) -> Rate | Write:
    probe = part[0][0]
    asks = [ask for _, samples in part for several in samples for ask in several]
    if probe.writes:
        return Write([Prompt(mine, ask.prompt, ask.seed) for ask in asks], probe.tokens)
    return Rate([Item(mine, ask.row) for ask in asks if ask.row is not None], probe.detailed)


def _share(part: Part, found: Sequence, answers: Sequence[list[Sequence]]) -> None:
    """Give each sample the answers to what it asked."""
    rest = iter(found)
    for at, samples in part:
        answers[at] += [[next(rest) for _ in several] for several in samples]


def _take(
    scored: Scored, probe: Probe, answers: Sequence[Sequence], base: Mapping[str, Sequence[float]]
) -> None:
    try:
        found = probe.found(answers, base.get(probe.metrics[0], ()))
    except Exception as error:  # a user's classifier raises what it likes
        why = f"it could not be scored: {type(error).__name__}: {error}"[:300]
        scored.scores |= {metric: Score.unsaid(why, len(answers)) for metric in probe.metrics}
        return
    scores = found.scores
    if len(answers) < len(probe.asks):
        note = f"{len(answers)} of {len(probe.asks)} samples: not enough time for more"
        scores = {metric: score.noting(note) for metric, score in scores.items()}
    scored.scores |= scores
    scored.values |= found.values
    scored.weights |= found.weights
    scored.worst |= found.worst
    for metric, values in found.values.items():
        if metric in RELATIVE:
            continue
        change = changed(metric, values, base.get(metric, ()), found.weights.get(metric, ()))
        if change is not None:
            scored.changes[metric] = change


RELATIVE = ("quality/forgetting",)  # is a change against the base already


def changed(
    metric: str, now: Sequence[float], base: Sequence[float], weights: Sequence[float] = ()
) -> Score | None:
    """The mean change on the samples that both have a value for; None where they are too few."""
    both = list(zip(now, base, strict=False))
    kept = [at for at, (one, other) in enumerate(both) if math.isfinite(one + other)]
    if len(kept) < (SMALLEST if metric.startswith(SLICE) else FEWEST):
        return None
    counts = [weights[at] for at in kept] if len(weights) else ()
    return drift_test.paired([both[at][0] for at in kept], [both[at][1] for at in kept], weights=counts)
