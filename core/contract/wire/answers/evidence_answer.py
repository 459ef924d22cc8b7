"""Evidence: the worst samples behind a metric's score."""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """A prompt, the model's answer and its score; ``note`` says what to look at."""

    prompt: str
    answer: str
    score: float
    note: str = ""


class Evidence(msgspec.Struct, frozen=True, tag="evidence"):
    """The worst samples of ``metric`` at ``step``, the worst first; if there are none, ``why_none`` says
    why."""

    metric: str
    step: int = 0
    samples: tuple[Sample, ...] = ()
    why_none: str = ""
