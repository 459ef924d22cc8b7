"""How far a trial is: what its checkpoint records besides tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from core.evaluate.metrics.loss_metrics import Sums
from core.train.data.batches.batch_schedule import BEGINNING, ScheduleStart
from core.train.training_position import Position

GRADIENT = "gradient"  # that of an incomplete step, among the optimizer's tensors in a checkpoint


@dataclass
class Partial:
    """What is done of the current step or evaluation; all zeros between steps."""

    micro_batches: int = 0
    loss: float = 0.0  # of these micro-batches, as a share of the step's loss
    busy_s: float = 0.0
    judged: int = 0  # validation rows
    sums: Sums = field(default_factory=Sums)  # over these rows
    sources: dict[str, Sums] = field(default_factory=dict)  # over those of each source of a mixture
    losses: list[float] = field(default_factory=list)  # of each row, if per-row losses are needed


class PendingSnapshot(NamedTuple):
    """A snapshot that is not scored yet; its matrix is among the checkpoint's tensors."""

    step: int
    elapsed_s: float
    writes: bool
    last: bool


class TrialProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a checkpoint. Names and order of the fields are those of its JSON file.

    Fields with a default are missing in checkpoints of older versions.
    """

    step: int
    done: int  # requests
    elapsed_s: float
    optimizer: dict[str, Any]  # the plain numbers of its state
    best: float | None  # value for early stopping
    best_at: Position | None
    waited: int  # evaluations without an improvement
    latest: dict[str, float]
    evaluated_step: int
    passed_step: int = -1
    since: ScheduleStart = BEGINNING
    drawn: tuple[int, ...] = ()  # rows of each source of a mixture
    balance: dict[str, tuple[int, int]] = {}  # rows and tokens trained of each source
    knobs: dict[str, Any] = {}
    submitted: int = -1  # last step whose snapshot was queued for scoring
    pending: list[PendingSnapshot] = []
    unsaid: dict[str, str] = {}
    inspected: list[Any] = []
    past: dict[str, Any] = {}
    why: str = ""
    start_loss: float | None = None  # of replayed sources before the first step
    partial: Partial | None

    def numbers(self) -> dict[str, Any]:
        """The progress as plain JSON values; without a mixture, what only a mixture has is left out."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        if not self.drawn:
            del result["drawn"], result["balance"], result["start_loss"]
            result["since"] = result["since"][:3]
            (result["partial"] or {}).pop("sources", None)
        return result


def read(numbers: Mapping[str, Any]) -> TrialProgress:
    """Read the numbers of a checkpoint of this version or an older one. Raises ValueError for a missing or
    damaged one."""
    older = {"submitted": numbers["scored"][0]} if "scored" in numbers else {}
    return msgspec.convert({**older, **numbers}, TrialProgress, strict=False)
