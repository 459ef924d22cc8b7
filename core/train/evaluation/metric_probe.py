"""A probe: what a model is asked for some metrics, sample by sample, and how its answers are scored."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from core.contract.board_score import Score
from core.contract.text.sanitize import plain
from core.contract.wire.evidence_answer import Sample
from core.train.data.dataset import Row
from core.train.step.row_likelihood import Reading
from core.train.step.step_requests import Written

T = TypeVar("T")
WORST = 20  # samples of a metric that are kept as evidence
LONGEST = 2000  # characters of a text in it
NOTHING = math.nan  # the value of a sample that has none


@dataclass(frozen=True)
class Ask:
    """A row to be rated, or a prompt to be gone on with: by its own draw where it has a ``seed``."""

    row: Row | None = None
    prompt: Sequence[int] = ()
    seed: str = ""


Asks = Sequence[Sequence[Ask]]  # by sample
Readings = Sequence[Sequence[Reading]]
Texts = Sequence[Sequence[Written]]


@dataclass
class Found:
    """Scores by metric; each sample's value, in the order of the samples, and what it counts (all the same
    where nothing is said); and the worst of them."""

    scores: dict[str, Score] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    worst: dict[str, list[Sample]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)

    def add(
        self, metric: str, score: Score, values: Sequence[float] = (), samples: Sequence[Sample] = ()
    ) -> Found:
        """One metric more; ``samples`` with a larger score are worse."""
        self.scores[metric] = score
        if len(values):
            self.values[metric] = [float(one) for one in values]
        ordered = sorted((one for one in samples if one.score == one.score), key=lambda one: -one.score)
        if ordered:
            self.worst[metric] = [_shown(one) for one in ordered[:WORST]]
        return self


@dataclass(frozen=True)
class Probe:
    """``asks`` holds what each sample asks, in the order in which a budget takes them: the same for all
    trials and the base. ``score`` takes the answers of the first samples, and the base's values of the same
    metric where there are any."""

    metrics: tuple[str, ...]
    asks: Asks = ()
    score: Callable[[Sequence[Sequence], Sequence[float]], Found] | None = None
    writes: bool = False  # by generated text; else by likelihood
    tokens: int = 32  # at most, of a text
    turn: int = 8  # samples at once
    detailed: bool = False
    why_none: str = ""  # why there is nothing to ask
    note: str = ""  # what was left out

    def found(self, answers: Sequence[Sequence], base: Sequence[float]) -> Found:
        """The scores of ``answers``, each with a reason where it has no value."""
        if self.score is None or not self.asks:
            why = self.why_none or "there are no samples"
            return Found({metric: Score.unsaid(why) for metric in self.metrics})
        found = self.score(answers, base)
        if self.note:
            found.scores = {name: score.noting(self.note) for name, score in found.scores.items()}
        return found


def chosen(pool: Sequence[T], count: int, seed: int, name: str) -> list[T]:
    """``count`` of ``pool`` in an order that ``seed`` and ``name`` settle."""
    order = list(pool)
    random.Random(f"{name} {seed}").shuffle(order)
    return order[:count]


def fitting(asks: Asks, tokens: int, context: int) -> tuple[list[Sequence[Ask]], str, str]:
    """The samples whose prompts leave room for ``tokens`` in the context and are not empty; a note, and why
    none is left."""
    kept = [several for several in asks if all(0 < len(one.prompt) <= context - tokens for one in several)]
    gone = len(asks) - len(kept)
    note = f"{gone} of {len(asks)} prompts are longer than the context of {context} tokens" if gone else ""
    return kept, note, "" if kept else note or "there are no samples"


def _shown(sample: Sample) -> Sample:
    return Sample(
        plain(sample.prompt, LONGEST, lines=True), plain(sample.answer, LONGEST, lines=True),
        round(sample.score, 6), plain(sample.note, 200),
    )  # fmt: skip
