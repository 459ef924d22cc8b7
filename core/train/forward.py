"""One pass of the base with the active adapter over a batch: the sums of loss and of hits."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch.nn import functional

from core.train.data import MASKED, Row, collate
from core.train.model import Base


def count_targets(rows: Sequence[Row]) -> int:
    """Tokens that are predicted and learnt: the first of a row is never predicted."""
    return sum(1 for row in rows for label in row.labels[1:] if label != MASKED)


def summed_loss(base: Base, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy summed over the rows' targets (scalar, nats, float32), and how many of them are the
    model's first choice (scalar int64).

    No attention mask is passed: padding stands on the right, where a causal model cannot see it, and SDPA
    stays on its fast causal path. Logits are computed only at positions that some row learns from.
    """
    batch = collate(rows, base.pad_id, base.device)
    targets = batch["labels"][:, 1:]  # (B, T-1): what each position but the last predicts
    kept = (targets != MASKED).any(0).nonzero().squeeze(-1)  # (K,)
    targets = targets[:, kept]  # (B, K)
    if _keeps_logits(base.model):
        logits = base.model(input_ids=batch["input_ids"], use_cache=False, logits_to_keep=kept).logits
    else:
        logits = base.model(input_ids=batch["input_ids"], use_cache=False).logits[:, kept]
    flat, wanted = logits.float().flatten(0, 1), targets.flatten()  # (B*K, V), (B*K,)
    loss = functional.cross_entropy(flat, wanted, ignore_index=MASKED, reduction="sum")
    with torch.no_grad():
        hits = (flat.argmax(-1) == wanted).sum()
    return loss, hits


def _keeps_logits(model: torch.nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
