"""The progress within a step or an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.evaluate.metrics.loss_metrics import Sums


@dataclass
class Partial:
    """What is done of the current step or evaluation; all zeros between steps."""

    micro_batches: int = 0
    loss: float = 0.0  # of these micro-batches, as a share of the step's loss
    busy_s: float = 0.0
    judged: int = 0  # validation rows
    sums: Sums = field(default_factory=Sums)  # over these rows
    losses: list[float] = field(default_factory=list)  # of each row, if per-row losses are needed


def read(numbers: Mapping[str, Any] | None) -> Partial:
    """Restore what ``asdict`` gave; None gives an empty Partial."""
    return Partial(**{**numbers, "sums": Sums(**numbers["sums"])}) if numbers else Partial()
