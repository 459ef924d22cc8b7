"""The metrics that trials report: their unit, the direction that is better, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """One number a trial reports under ``name`` (``board/what``)."""

    name: str
    direction: Direction
    meaning: str
    unit: str = ""


TABLE: tuple[Metric, ...] = (
    Metric("train/loss", "minimize", "mean cross-entropy of the step's target tokens", "nats/token"),
    Metric("train/learning_rate", "minimize", "learning rate of the step"),
    Metric("train/grad_norm", "minimize", "norm of the adapter's gradient before clipping"),
    Metric("train/tokens_per_s", "maximize", "tokens (padding not counted) trained per second", "tokens/s"),
    Metric("eval/loss", "minimize", "mean cross-entropy of the validation target tokens", "nats/token"),
    Metric("eval/perplexity", "minimize", "exp of eval/loss, weighted by tokens"),
    Metric("eval/accuracy", "maximize", "share of target tokens that the model puts first", "fraction"),
    Metric("memory/peak_bytes", "minimize", "largest memory of the worker so far (RSS on a CPU)", "bytes"),
    Metric("memory/used_bytes", "minimize", "memory of the worker now (RSS on a CPU)", "bytes"),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in TABLE}
OBJECTIVES = (
    "eval/loss", "eval/perplexity", "eval/accuracy",
    "train/loss", "train/tokens_per_s", "memory/peak_bytes",
)  # fmt: skip
