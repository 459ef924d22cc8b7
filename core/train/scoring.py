"""Scores a model by probes, a turn of samples of each after the other, until the time for it is over."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.contract.evidence import Sample
from core.contract.metrics import SLICE
from core.contract.score import Score
from core.evaluate import drift
from core.evaluate.slices import SMALLEST
from core.train.factors import Factors
from core.train.forward import Item
from core.train.probe import Ask, Probe
from core.train.wants import Done, Prompt, Rate, Want, Write

ROWS = 8  # asked at once of a trial, but for a sample that is more
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


Life = Generator[Want, tuple[Done, float], Scored]


def scoring(
    probes: Sequence[Probe], mine: Factors | None, limit_s: float, base: Mapping[str, Sequence[float]]
) -> Life:
    """Ask what ``probes`` ask of a trial, or of the base itself. The first turn is always done; others as
    long as less than ``limit_s`` is spent. ``base`` holds the base's values by metric."""
    scored, answers = Scored(), [list[Sequence]() for _ in probes]
    first = True
    while parts := list(_parts(probes, answers, FEWEST if first else None)):
        for part in parts:
            if not first and scored.took_s >= limit_s:
                break
            done, took_s = yield _want([(probes[at], samples) for at, samples in part], mine)
            scored.took_s += took_s
            _share(part, done, answers)
        if scored.took_s >= limit_s:
            break
        first = False
    for probe, some in zip(probes, answers, strict=True):
        _take(scored, probe, some, base)
    return scored


Part = list[tuple[int, Sequence[Sequence[Ask]]]]  # of (place of the probe, its next samples)


def _parts(probes: Sequence[Probe], answers: Sequence[Sequence], most: int | None) -> Iterator[Part]:
    """One turn: rows probe by probe, texts of one length together, and few at once: a message waits for a
    part, and so do the trials that train beside it."""
    kinds: dict[object, Part] = {}
    for at, (probe, had) in enumerate(zip(probes, answers, strict=True)):
        samples = probe.asks[len(had) : len(had) + min(probe.turn, most or probe.turn)]
        kind = kinds.setdefault(("texts", probe.tokens) if probe.writes else at, [])
        kind += [(at, [one]) for one in samples]
    for kind in kinds.values():
        part: Part = []
        for one in kind:
            if part and _asks([*part, one]) > ROWS:
                yield part
                part = []
            part.append(one)
        if part:
            yield part


def _asks(part: Part) -> int:
    return sum(len(several) for _, samples in part for several in samples)


def _want(part: Sequence[tuple[Probe, Sequence[Sequence[Ask]]]], mine: Factors | None) -> Rate | Write:
    probe = part[0][0]
    asks = [ask for _, samples in part for several in samples for ask in several]
    if probe.writes:
        return Write([Prompt(mine, ask.prompt, ask.seed) for ask in asks], probe.tokens)
    return Rate([Item(mine, ask.row) for ask in asks if ask.row is not None], probe.detailed)


def _share(part: Part, done: Done, answers: Sequence[list[Sequence]]) -> None:
    """Give each sample the answers to what it asked."""
    rest = iter(done.answers)
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
    scored.scores |= found.scores
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
    return drift.paired([both[at][0] for at in kept], [both[at][1] for at in kept], weights=counts)
