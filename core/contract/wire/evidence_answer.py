"""What a board's number rests on: the worst samples of a metric."""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One prompt, what the model answered, and how that was scored; ``note`` says what to look at."""

    prompt: str
    answer: str
    score: float
    note: str = ""


class Evidence(msgspec.Struct, frozen=True, tag="evidence"):
    """The worst samples of ``metric`` at ``step``, the worst first; none with the reason in ``why_none``."""

    metric: str
    step: int = 0
    samples: tuple[Sample, ...] = ()
    why_none: str = ""
