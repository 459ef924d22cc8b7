"""A probe: the questions that score a model on some metrics, sample by sample, and the scoring of the
answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import SLICE, find_metric
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics.validation_slices import SMALLEST
from core.evaluate.statistics import drift_test
from core.train.data.dataset import Row
from core.train.step.compute_requests import Written
from core.train.step.target_token_losses import Reading

WORST = 20  # samples kept as evidence of a metric
LONGEST = 2000  # characters of a text in the evidence
LEAST = 2  # samples of a reported change
NOTHING = math.nan  # the value of a sample without an answer
ITSELF: Mapping[str, Sequence[float]] = {"the base itself": ()}  # the values that the base is scored with
NO_BASE = "the base model was not scored on these samples"


@dataclass(frozen=True)
class Ask:
    """A row to score by likelihood, or a prompt to continue; it is sampled with its own random draw if it has
    a ``seed``, else greedily. ``tokens``: its longest completion, the probe's if 0. ``state``: the residual
    stream before the row's first target is read, too. Several probes may share one: it is asked once."""

    row: Row | None = None
    prompt: Sequence[int] = ()
    seed: str = ""
    tokens: int = 0
    state: bool = False


Asks = Sequence[Sequence[Ask]]  # by sample
Readings = Sequence[Sequence[Reading]]
Texts = Sequence[Sequence[Written]]
Values = Mapping[str, Sequence[float]]  # the base's value of each sample, by metric


@dataclass
class ProbeResult:
    """Scores by metric; the value and weight of each sample, in the samples' order (equal weights if there
    are none); and the worst samples. Values under another name than a metric's are the base's that its trials
    are compared with. ``changes``: against the base, of metrics that are no mean over the samples."""

    scores: dict[str, Score] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    worst: dict[str, list[Sample]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    changes: dict[str, Score] = field(default_factory=dict)

    def add(
        self, metric: str, score: Score, values: Sequence[float] = (), samples: Sequence[Sample] = ()
    ) -> ProbeResult:
        """Add a metric; of ``samples``, those with a larger score are worse."""
        entry = find_metric(metric)
        self.scores[metric] = score.clip_interval(*entry.span) if entry is not None else score
        if len(values):
            self.values[metric] = [float(value) for value in values]
        ordered = sorted(
            (sample for sample in samples if not math.isnan(sample.score)), key=lambda sample: -sample.score
        )
        if ordered:
            self.worst[metric] = [_mark_as_evidence(sample) for sample in ordered[:WORST]]
        return self


@dataclass(frozen=True)
class Probe:
    """Questions for some metrics and their scoring.

    ``asks`` holds the questions of each sample in the order in which a budget takes them: the same for all
    trials and the base. ``score`` takes the answers to the first samples, and the base's values, ITSELF for
    the base. ``whole``: whatever samples a trial has, it is compared with all samples of the base.

    Some samples are about training rows: ``rows`` holds the numbers of each sample's. A trial is asked only
    about rows that it has trained on, by ``only``, which returns the probe of the samples with these indices;
    ``picked`` are then their indices.
    """

    metrics: tuple[str, ...]
    asks: Asks = ()
    score: Callable[[Sequence[Sequence[Any]], Values], ProbeResult] | None = None
    writes: bool = False  # scores generated text; else likelihood
    tokens: int = 32  # longest completion
    turn: int = 8  # samples per request
    alone: bool = False  # nothing else is generated meanwhile, to time it
    whole: bool = False
    why_none: str = ""  # why there are no samples
    note: str = ""  # what was left out
    rows: Sequence[Collection[int]] = ()
    only: Callable[[Sequence[int]], Probe] | None = None
    picked: Sequence[int] = ()

    def narrow(self, trained: Collection[int]) -> Probe:
        """The probe of a trial that has trained on the rows with these numbers."""
        if self.only is None or not self.asks:
            return self
        picked = [index for index, rows in enumerate(self.rows) if any(row in trained for row in rows)]
        trained_note = f"{len(picked)} of {len(self.rows)} sampled training rows were trained on so far"
        smaller = self.only(picked)
        note = "; ".join(text for text in (smaller.note, trained_note) if text)
        return replace(
            smaller, rows=self.rows, picked=picked, note=note, why_none=smaller.why_none or trained_note
        )

    def score_answers(self, answers: Sequence[Sequence[Any]], base: Values) -> ProbeResult:
        """Score ``answers``; a metric without a value has a reason."""
        if self.score is None or not self.asks:
            why = self.why_none or "there are no samples"
            return ProbeResult({metric: Score.without_value(why) for metric in self.metrics})
        own = {name: [values[at] for at in self.picked if at < len(values)] for name, values in base.items()}
        result = self.score(answers, own if self.rows and self.picked else base)
        if self.note:
            result.scores = {name: score.add_note(self.note) for name, score in result.scores.items()}
        if self.picked:
            result.values = {name: self._spread_values(values) for name, values in result.values.items()}
        return result

    def _spread_values(self, values: Sequence[float]) -> list[float]:
        """The values at their places among all samples."""
        spread = [NOTHING] * (max(self.picked) + 1)
        for at, value in zip(self.picked, values, strict=False):
            spread[at] = value
        return spread


def is_base(base: Values) -> bool:
    """Whether the base itself is scored, not a trial whose base has no values."""
    return base.keys() == ITSELF.keys()


def select_fitting(asks: Asks, tokens: int, context: int) -> tuple[list[Sequence[Ask]], str, str]:
    """The samples whose prompts are not empty and leave room for ``tokens`` in the context; a note on the
    others, and the reason if none is left."""
    fitting = [sample for sample in asks if all(0 < len(ask.prompt) <= context - tokens for ask in sample)]
    dropped = len(asks) - len(fitting)
    note = f"{dropped} of {len(asks)} prompts exceed the context of {context} tokens" if dropped else ""
    return fitting, note, "" if fitting else note or "there are no samples"


def change_from(
    metric: str, now: Sequence[float], base: Sequence[float], weights: Sequence[float] = ()
) -> Score | None:
    """The mean change on the samples that have a value in both; None if they are too few."""
    both = list(zip(now, base, strict=False))
    finite_places = [index for index, (value, before) in enumerate(both) if math.isfinite(value + before)]
    if len(finite_places) < (SMALLEST if metric.startswith(SLICE) else LEAST):
        return None
    counts = [weights[index] for index in finite_places] if len(weights) else ()
    return drift_test.paired_difference(
        [both[index][0] for index in finite_places],
        [both[index][1] for index in finite_places],
        weights=counts,
    )


def count_by_group(
    result: ProbeResult, metric: str, groups: Sequence[str], values: Sequence[float], title: str
) -> None:
    """Put a sample before the worst of ``metric`` that lists the mean of ``values`` by group, the largest
    first; nothing where all are of one group."""
    values_by_group: dict[str, list[float]] = {}
    for group, value in zip(groups, values, strict=False):
        if math.isfinite(value):
            values_by_group.setdefault(group or "other", []).append(value)
    if len(values_by_group) < 2 or metric not in result.worst:
        return
    means = {group: sum(own) / len(own) for group, own in values_by_group.items()}
    lines = [
        f"{group}: {means[group]:.0%} of {len(values_by_group[group])}"
        for group in sorted(values_by_group, key=lambda group: (-means[group], group))
    ]
    result.worst[metric].insert(0, Sample(title, "\n".join(lines), result.worst[metric][0].score, title))


def _mark_as_evidence(sample: Sample) -> Sample:
    return Sample(
        sanitize(sample.prompt, LONGEST, lines=True), sanitize(sample.answer, LONGEST, lines=True),
        round(sample.score, 6), sanitize(sample.note, 200),
    )  # fmt: skip
