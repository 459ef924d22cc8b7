"""Scores a model with probes, some samples of each in turn, until all are scored or it must stop early."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import BOARDS, METRICS, find_metric
from core.contract.views.metric_format import SHARE
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.statistics.interval_formulas import FEWEST
from core.evaluate.statistics.power import describe_power
from core.train.adapters.lora_factors import Factors
from core.train.probes.metric_probe import Ask, Probe, Values, change_from
from core.train.probes.privacy_probes import MEMBERSHIP
from core.train.step.compute_requests import (
    Prompt,
    Rate,
    ScoringRequest,
    TimedResult,
    Turn,
    Wait,
    Write,
)
from core.train.step.forward_pass import Item

FIRST = FEWEST  # samples of a probe in the first turn, which always runs: as many as an interval needs
METRICS_SCORED = sum(name.split("/")[0] in BOARDS for name in METRICS)


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

    def join(self, other_scored: Scored) -> None:
        """Add what another scoring found."""
        for name in ("scores", "values", "weights", "worst", "changes"):
            getattr(self, name).update(getattr(other_scored, name))


Life = Generator[ScoringRequest, TimedResult, Scored]
Needs = Mapping[tuple[str, ...], int]  # samples of the base that a scoring is compared with, by probe
Part = list[tuple[int, Sequence[Sequence[Ask]]]]  # of (index of the probe, its next samples)


class ProbeRun:
    """The answers to ``probes`` of a snapshot, or of the base itself (``factors`` None), sample after sample.
    ``recall`` gives an answer that is known already, or None."""

    def __init__(
        self,
        probes: Sequence[Probe],
        factors: Factors | None,
        recall: Callable[[Probe, Ask], Any | None] = lambda probe, ask: None,
    ) -> None:
        self.probes, self._mine, self._recall = probes, factors, recall
        self.answers: list[list[Sequence[Any]]] = [[] for _ in probes]
        self._given: dict[int, Any] = {}  # by question, which several probes may share
        self.took_s = 0.0

    def turn(self, most: int | None = None) -> Generator[ScoringRequest, TimedResult, bool]:
        """Ask the next samples of each probe: as many as its turn has, at most ``most``. Returns False if
        none is left."""
        rows, texts = self._take_next(False, most), self._take_next(True, most)
        if not rows and not texts:
            return False
        parts = [part for part in (rows, texts) if part]
        unknown = [asks for part in parts if (asks := self._list_unknown(part))]
        if unknown:
            result, took_s = yield Turn(tuple(self._make_request(asks) for asks in unknown))
            self.took_s += took_s
            for asks, results in zip(unknown, result.parts, strict=True):
                self._given |= {id(ask): answer for (_, ask), answer in zip(asks, results, strict=True)}
        for part in parts:
            for index, samples in part:
                probe = self.probes[index]
                self.answers[index] += [
                    [self._find_known(probe, ask) for ask in sample] for sample in samples
                ]
        return True

    def needs(self) -> dict[tuple[str, ...], int]:
        """How many samples of the base the answers are compared with, by the metrics of a probe."""
        return {
            probe.metrics: _count_needed(probe, len(answers))
            for probe, answers in zip(self.probes, self.answers, strict=True)
        }

    def score(self, base: Values) -> Scored:
        """Score the answers so far, and compare them with the ``base``."""
        scored = Scored(took_s=self.took_s)
        for probe, answers in zip(self.probes, self.answers, strict=True):
            _take(scored, probe, answers, base)
        return scored

    def _take_next(self, writes: bool, most: int | None) -> Part:
        part: Part = []
        for index, (probe, answered) in enumerate(zip(self.probes, self.answers, strict=True)):
            at_once = probe.whole and self._mine is None
            count = len(probe.asks) if at_once else min(probe.turn, most or probe.turn)
            samples = probe.asks[len(answered) : len(answered) + count] if probe.writes == writes else ()
            if samples:
                part.append((index, samples))
        return part

    def _find_known(self, probe: Probe, ask: Ask) -> Any | None:
        answer = self._given.get(id(ask))
        return self._recall(probe, ask) if answer is None else answer

    def _list_unknown(self, part: Part) -> list[tuple[Probe, Ask]]:
        """The questions whose answers are not known yet, each once."""
        asks = {
            id(ask): (self.probes[index], ask)
            for index, samples in part
            for sample in samples
            for ask in sample
        }
        return [(probe, ask) for probe, ask in asks.values() if self._find_known(probe, ask) is None]

    def _make_request(self, asks: Sequence[tuple[Probe, Ask]]) -> Rate | Write:
        if not asks[0][0].writes:
            rows = [(ask.row, ask.state) for _, ask in asks if ask.row is not None]
            return Rate([Item(self._mine, row, state=state) for row, state in rows])
        return Write(
            [
                Prompt(self._mine, ask.prompt, ask.tokens or probe.tokens, ask.seed, probe.alone)
                for probe, ask in asks
            ]
        )


def score_probes(
    probes: Sequence[Probe],
    factors: Factors,
    base: Callable[[Needs], Values | None],
    enough: Callable[[], bool] = lambda: False,
    trained: Collection[int] | None = None,
) -> Life:
    """Score a snapshot with ``probes``. ``trained``: the numbers of the training rows that it has seen; None:
    no matter which.

    The first turn always runs; further ones until ``enough``. ``base`` gives the base's values, or None while
    those that are needed are not known yet: the scoring waits for them.
    """
    if trained is not None:
        probes = [probe.narrow(trained) for probe in probes]
    run = ProbeRun(probes, factors)
    has_more = yield from run.turn(FIRST)
    while has_more and not enough():
        has_more = yield from run.turn()
    while (values := base(run.needs())) is None:
        yield Wait()
    return run.score(values)


def count_asks(probes: Sequence[Probe]) -> int:
    """How many answers all samples of ``probes`` need."""
    return len({id(ask) for probe in probes for sample in probe.asks for ask in sample})


def _count_needed(probe: Probe, answered: int) -> int:
    if probe.whole:
        return len(probe.asks)
    return probe.picked[answered - 1] + 1 if probe.picked and answered else answered


def _take(scored: Scored, probe: Probe, answers: Sequence[Sequence[Any]], base: Values) -> None:
    try:
        result = probe.score_answers(answers, base)
    except Exception as error:  # a user's classifier may raise anything
        why = f"the scoring failed: {type(error).__name__}: {error}"[:300]
        scored.scores |= {metric: Score.without_value(why, len(answers)) for metric in probe.metrics}
        return
    scores = result.scores
    if len(answers) < len(probe.asks):
        note = f"{len(answers)} of {len(probe.asks)} samples: there was no time for more"
        scores = {metric: score.add_note(note) for metric, score in scores.items()}
    scored.scores |= {metric: _add_power_note(metric, score) for metric, score in scores.items()}
    scored.values |= result.values
    scored.weights |= result.weights
    scored.worst |= result.worst
    scored.changes |= result.changes
    for metric, values in result.values.items():
        if metric not in scores:  # only to compare trials with
            continue
        change = change_from(metric, values, base.get(metric, ()), result.weights.get(metric, ()))
        if change is not None:
            scored.changes[metric] = change


def _add_power_note(metric: str, score: Score) -> Score:
    """A share with a note on how small a change against the base it can show, if the base has one."""
    entry = find_metric(metric)
    if score.value is None or not score.binomial or entry is None or entry.unit != SHARE:
        return score
    if metric in MEMBERSHIP:
        return score
    worse = "rise" if entry.direction == "minimize" else "fall"
    power = describe_power(score.samples, metrics=METRICS_SCORED, effect=entry.effect, worse=worse)
    return score.add_note(power)
