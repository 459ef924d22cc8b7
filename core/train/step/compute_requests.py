"""The requests that trials, their snapshots and the base model make of a round, and the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.train.adapters.lora_factors import Factors
from core.train.step.forward_pass import Item
from core.train.step.target_token_losses import Reading

BASE = -1  # the trial number that stands for the base model itself


@dataclass(frozen=True)
class Learn:
    """Requests the gradient of these rows and, after the last micro-batch of a step, the ``update``."""

    items: list[Item]
    update: Update | None = None


@dataclass(frozen=True)
class Update:
    """An optimizer step with clipping. The gradient of the summed loss is divided by ``targets``: a mean."""

    targets: int
    rate: float
    clip: float  # inf: no clipping


@dataclass(frozen=True)
class Judge:
    """Requests the loss of these rows and the number of targets that were the first choice."""

    items: list[Item]


@dataclass(frozen=True)
class Rate:
    """Requests the likelihood of each row."""

    items: list[Item]


@dataclass(frozen=True)
class Prompt:
    """Tokens to continue by at most ``tokens``, by a trial or (``mine`` None) the base. Sampled with
    ``seed`` at a ``temperature``, else greedily. ``alone``: nothing else is generated next to it,
    so that it can be timed."""

    mine: Factors | None
    ids: Sequence[int]
    tokens: int
    seed: str = ""
    alone: bool = False
    temperature: float = 1.0


@dataclass(frozen=True)
class Write:
    """Requests the completion of each prompt."""

    prompts: list[Prompt]


@dataclass(frozen=True)
class Turn:
    """Requests all ``parts`` at once."""

    parts: tuple[Rate | Write, ...]


@dataclass(frozen=True)
class Wait:
    """Requests nothing now: another result must come first."""


@dataclass(frozen=True)
class Written:
    """A completion without its end token; ``first_s`` is the time to the first token, ``took_s`` its share of
    the time of the prompts that were completed together."""

    ids: list[int]
    first_s: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """The result of a request: ``loss`` summed over the rows' targets, the gradient's ``norm`` before
    clipping, and the ``hits`` of Judge; ``answers`` to Rate and Write, in their order; for a Turn, in
    ``parts``, the answers to each of its parts."""

    loss: float = 0.0
    norm: float = 0.0
    hits: int = 0
    answers: Sequence[Reading | Written] = field(default=())
    parts: Sequence[Sequence[Reading | Written]] = field(default=())


Request = Learn | Judge | Rate
TimedResult = tuple[Result, float]  # with the seconds that the request took
ScoringRequest = Rate | Write | Turn | Wait  # the requests that scoring makes
