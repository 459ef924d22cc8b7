"""A probe: the questions that score a model on some metrics, sample by sample, and the scoring of the
answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.contract.metric_score import Score
from core.contract.text.sanitize import plain
from core.contract.wire.evidence_answer import Sample
from core.train.data.dataset import Row
from core.train.step.compute_requests import Written
from core.train.step.row_likelihood import Reading

T = TypeVar("T")
WORST = 20  # samples kept as evidence of a metric
LONGEST = 2000  # characters of a text in the evidence
NOTHING = math.nan  # the value of a sample without an answer


@dataclass(frozen=True)
class Ask:
    """A row to score by likelihood, or a prompt to continue; it is sampled with its own random draw if it has
    a ``seed``, else greedily."""

    row: Row | None = None
    prompt: Sequence[int] = ()
    seed: str = ""


Asks = Sequence[Sequence[Ask]]  # by sample
Readings = Sequence[Sequence[Reading]]
Texts = Sequence[Sequence[Written]]


@dataclass
class ProbeResult:
    """Scores by metric; the value and weight of each sample, in the samples' order (equal weights if there
    are none); and the worst samples."""

    scores: dict[str, Score] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    worst: dict[str, list[Sample]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)

    def add(
        self, metric: str, score: Score, values: Sequence[float] = (), samples: Sequence[Sample] = ()
    ) -> ProbeResult:
        """Add a metric; of ``samples``, those with a larger score are worse."""
        self.scores[metric] = score
        if len(values):
            self.values[metric] = [float(value) for value in values]
        ordered = sorted(
            (sample for sample in samples if not math.isnan(sample.score)), key=lambda sample: -sample.score
        )
        if ordered:
            self.worst[metric] = [_as_evidence(sample) for sample in ordered[:WORST]]
        return self


@dataclass(frozen=True)
class Probe:
    """Questions for some metrics and their scoring.

    ``asks`` holds the questions of each sample in the order in which a budget takes them: the same for all
    trials and the base. ``score`` takes the answers to the first samples, and the base's values of the first
    metric, if there are any.
    """

    metrics: tuple[str, ...]
    asks: Asks = ()
    score: Callable[[Sequence[Sequence[Any]], Sequence[float]], ProbeResult] | None = None
    writes: bool = False  # scores generated text; else likelihood
    tokens: int = 32  # longest completion
    turn: int = 8  # samples per request
    detailed: bool = False
    why_none: str = ""  # why there are no samples
    note: str = ""  # what was left out

    def score_answers(self, answers: Sequence[Sequence[Any]], base: Sequence[float]) -> ProbeResult:
        """Score ``answers``; a metric without a value has a reason."""
        if self.score is None or not self.asks:
            why = self.why_none or "there are no samples"
            return ProbeResult({metric: Score.unsaid(why) for metric in self.metrics})
        result = self.score(answers, base)
        if self.note:
            result.scores = {name: score.noting(self.note) for name, score in result.scores.items()}
        return result


def seeded_sample(pool: Sequence[T], count: int, seed: int, name: str) -> list[T]:
    """``count`` of ``pool``, in an order fixed by ``seed`` and ``name``."""
    order = list(pool)
    random.Random(f"{name} {seed}").shuffle(order)
    return order[:count]


def select_fitting(asks: Asks, tokens: int, context: int) -> tuple[list[Sequence[Ask]], str, str]:
    """The samples whose prompts are not empty and leave room for ``tokens`` in the context; a note on the
    others, and the reason if none is left."""
    kept = [sample for sample in asks if all(0 < len(ask.prompt) <= context - tokens for ask in sample)]
    dropped = len(asks) - len(kept)
    note = f"{dropped} of {len(asks)} prompts exceed the context of {context} tokens" if dropped else ""
    return kept, note, "" if kept else note or "there are no samples"


def _as_evidence(sample: Sample) -> Sample:
    return Sample(
        plain(sample.prompt, LONGEST, lines=True), plain(sample.answer, LONGEST, lines=True),
        round(sample.score, 6), plain(sample.note, 200),
    )  # fmt: skip
