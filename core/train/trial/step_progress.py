"""What is done of a step, or of an evaluation, that is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.evaluate.metrics.loss_metrics import Sums


@dataclass
class Partial:
    """All zeros between two of them."""

    micro_batches: int = 0
    loss: float = 0.0  # of these micro-batches, as a part of the step's
    busy_s: float = 0.0
    judged: int = 0  # validation rows
    sums: Sums = field(default_factory=Sums)  # of these rows
    losses: list[float] = field(default_factory=list)  # of each of them, where that is asked for


def read(numbers: Mapping[str, Any] | None) -> Partial:
    """What ``asdict`` gave; None for nothing."""
    return Partial(**{**numbers, "sums": Sums(**numbers["sums"])}) if numbers else Partial()
