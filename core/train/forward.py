"""One pass of the base with the active adapter over a batch: its loss, and how often it was right."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence

import torch
from torch.nn import functional

from core.train.data import MASKED, Row, collate
from core.train.model import Base

CPU = torch.device("cpu")


def count_targets(rows: Sequence[Row]) -> int:
    """Tokens that are predicted and learnt: the first of a row is never predicted."""
    return sum(1 for row in rows for label in row.labels[1:] if label != MASKED)


def summed_loss(base: Base, rows: Sequence[Row]) -> torch.Tensor:
    """Cross-entropy summed over the rows' targets: scalar, nats, float32."""
    logits, targets = _predict(base, rows)
    return _cross_entropy(logits, targets)


@torch.no_grad()
def judge(base: Base, rows: Sequence[Row]) -> tuple[float, int]:
    """The summed loss in nats, and how many targets are the model's first choice."""
    logits, targets = _predict(base, rows)
    hits = (logits.argmax(-1) == targets).sum()
    return float(_cross_entropy(logits, targets)), int(hits)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, targets, ignore_index=MASKED, reduction="sum")


def _predict(base: Base, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, V) float32 and targets (N,) int64 at the positions that some row learns from.

    No attention mask is passed: padding stands on the right, where a causal model cannot see it, and SDPA
    stays on its fast causal path. The output layer is computed for those positions alone: with a large
    vocabulary it is a good part of the work, and its logits most of the memory.
    """
    batch = collate(rows, base.pad_id, CPU)
    targets = batch["labels"][:, 1:]  # (B, T-1): what each position but the last predicts
    kept = (targets != MASKED).any(0).nonzero().squeeze(-1)  # (K,)
    targets = targets[:, kept].flatten().to(base.device)  # (B*K,)
    ids, kept = batch["input_ids"].to(base.device), kept.to(base.device)
    if _keeps_logits(type(base.model)):  # type: ignore[arg-type]
        logits = base.model(input_ids=ids, use_cache=False, logits_to_keep=kept).logits
    else:
        logits = base.model(input_ids=ids, use_cache=False).logits[:, kept]
    return logits.float().flatten(0, 1), targets


@functools.cache
def _keeps_logits(kind: type[torch.nn.Module]) -> bool:
    return "logits_to_keep" in inspect.signature(kind.forward).parameters
