"""Adapts a checkpoint of another trial, or of the same trial with other knobs, to the current knobs.

The factors are taken over unchanged, so another ``lora_alpha`` changes what the adapter does at once. Rows
continue in the parent's order after those it has trained on, whatever the batch size is now. With another
mixture each source continues after its own rows. Another ``seed`` reshuffles the rest, and so does a
``sequence_length`` that leaves another number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import torch

from core.contract.spec.knob_table import REPLAY, WEIGHT, Value
from core.errors import TrimtabError
from core.train.data.batches import batch_schedule
from core.train.trial.checkpoint_record import GRADIENT, Partial, TrialProgress

Tensors = Mapping[str, torch.Tensor]

# With other values of these, a half-done step or evaluation cannot continue: its rows or its function differ.
RESTARTING = ("batch_size", "gradient_accumulation", "sequence_length", "seed", "lora_alpha")


def adapt(
    progress: TrialProgress,
    adapter: Tensors,
    optimizer: Tensors,
    knobs: Mapping[str, Value],
    factors: Tensors,
) -> tuple[TrialProgress, dict[str, torch.Tensor], list[str]]:
    """The progress and optimizer tensors for a trial with ``knobs`` and ``factors``, and notes on what starts
    again.

    With unchanged knobs they are returned as they are. Raises TrimtabError if the factors have other layers
    or another rank.
    """
    _check(adapter, knobs, factors)
    old_knobs = progress.knobs or dict(knobs)  # older checkpoints do not have the knobs
    changed_knobs = {name for name in knobs if name in old_knobs and old_knobs[name] != knobs[name]}
    notes: list[str] = []
    changes: dict[str, Any] = {}
    if changed_knobs:  # early stopping with the old knobs says nothing about the new ones
        changes |= {"why": "", "waited": 0}
    mixes = {name for name in changed_knobs if name == REPLAY.name or name.startswith(WEIGHT)}
    if mixes or changed_knobs & {"batch_size", "gradient_accumulation"}:
        since = batch_schedule.count_work_after(progress.since, old_knobs, progress.step)
        changes["since"] = since._replace(drawn=progress.drawn)
    if mixes or changed_knobs & set(RESTARTING):
        notes += _restart_notes(progress.partial or Partial())
        changes["partial"] = None
        optimizer = {key: tensor for key, tensor in optimizer.items() if key != GRADIENT}
    if "optimizer" in changed_knobs:
        optimizer = {key: tensor for key, tensor in optimizer.items() if key == GRADIENT}
        changes["optimizer"] = {}
        notes.append(
            f"{knobs['optimizer']} starts from scratch: the checkpoint has {old_knobs['optimizer']} state"
        )
    return msgspec.structs.replace(progress, **changes), dict(optimizer), notes


def _check(adapter: Tensors, knobs: Mapping[str, Value], factors: Tensors) -> None:
    missing = factors.keys() ^ adapter.keys()
    if missing:
        raise _make_fault(
            f"target_modules = {knobs['target_modules']} does not match the checkpoint: {min(missing)}"
        )
    for name, factor in factors.items():
        shape = adapter[name].shape
        if shape != factor.shape:
            rank = min(shape)
            raise _make_fault(
                f"lora_rank = {knobs['lora_rank']}, but the checkpoint has rank {rank} ({name})"
            )


def _make_fault(problem: str) -> TrimtabError:
    fix = "clone with the parent's lora_rank and target_modules, or queue a new trial"
    return TrimtabError.of(problem, "the checkpoint", fix)


def _restart_notes(partial: Partial) -> list[str]:
    if partial.micro_batches:
        return [f"{partial.micro_batches} micro-batches of the incomplete step will be repeated"]
    return ["the incomplete evaluation will be repeated"] if partial.judged else []
