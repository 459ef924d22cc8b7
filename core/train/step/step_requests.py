"""What a trial may want of a round, what its snapshots and the base are asked, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.train.adapters.lora_factors import Factors
from core.train.step.forward_pass import Item
from core.train.step.row_likelihood import Reading

BASE = -1  # the number under which the base itself wants things


@dataclass(frozen=True)
class Learn:
    """Wanted: the gradient of these rows; after the last of a step, ``update`` too."""

    items: list[Item]
    update: Update | None = None


@dataclass(frozen=True)
class Update:
    """Wanted: a clipped step. ``targets`` divides the gradient: that of a sum becomes that of a mean."""

    targets: int
    rate: float
    clip: float  # inf: none


@dataclass(frozen=True)
class Judge:
    """Wanted: loss and hits of these rows."""

    items: list[Item]


@dataclass(frozen=True)
class Rate:
    """Wanted: a reading of each row; ``detailed`` ones know the vocabulary's mean and deviation."""

    items: list[Item]
    detailed: bool = False


@dataclass(frozen=True)
class Prompt:
    """Tokens to go on from, by a trial or (``mine`` None) the base. Drawn with ``seed``, else greedily."""

    mine: Factors | None
    ids: Sequence[int]
    seed: str = ""


@dataclass(frozen=True)
class Write:
    """Wanted: at most ``tokens`` more of each prompt."""

    prompts: list[Prompt]
    tokens: int


@dataclass(frozen=True)
class Turn:
    """Wanted: all of these."""

    parts: tuple[Rate | Write, ...]


@dataclass(frozen=True)
class Wait:
    """Nothing is wanted now: somebody else has to be done first."""


@dataclass(frozen=True)
class Written:
    """What a prompt was gone on with, without the end token; ``first_s`` until the first token, ``took_s``
    its share of the time of those that were written together."""

    ids: list[int]
    first_s: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True)
class Done:
    """What came of a want: ``loss`` summed over the rows' targets, the gradient's ``norm`` before clipping,
    and the ``hits`` of a judgement; ``answers`` to Rate and Write, in their order; ``parts`` of a Turn, the
    answers to each of its parts."""

    loss: float = 0.0
    norm: float = 0.0
    hits: int = 0
    answers: Sequence[Reading | Written] = field(default=())
    parts: Sequence[Sequence[Reading | Written]] = field(default=())


Want = Learn | Judge | Rate
Asked = Rate | Write | Turn | Wait  # of whoever scores
