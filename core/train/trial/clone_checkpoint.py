"""Adapts a checkpoint of another trial, or of the same trial with other knobs, to the current knobs.

The factors are taken over unchanged, so another ``lora_alpha`` changes what the adapter does at once. Rows
continue in the parent's order after those it has trained on, whatever the batch size is now; another ``seed``
reshuffles the rest, and so does a ``sequence_length`` that leaves another number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from core.contract.spec.knob_table import Value
from core.errors import TrimtabError
from core.train.checkpoint_files import Snapshot
from core.train.data import training_batches

# With other values of these, a half-done step or evaluation cannot continue: its rows or its function differ.
RESTARTING = ("batch_size", "gradient_accumulation", "sequence_length", "seed", "lora_alpha")


def adapt(
    snapshot: Snapshot, knobs: Mapping[str, Value], factors: Mapping[str, torch.Tensor]
) -> tuple[Snapshot, list[str]]:
    """The snapshot for a trial with ``knobs`` and ``factors``, and notes on what starts again.

    With unchanged knobs the snapshot is returned as it is. Raises TrimtabError if the factors have other
    layers or another rank.
    """
    _check(snapshot, knobs, factors)
    numbers = snapshot.numbers
    old_knobs = numbers.get("knobs") or dict(knobs)  # older checkpoints do not have the knobs
    changed_knobs = {name for name in knobs if name in old_knobs and old_knobs[name] != knobs[name]}
    notes, optimizer, numbers_now = [], dict(snapshot.optimizer), dict(numbers)
    if changed_knobs:
        numbers_now |= {
            "why": "",
            "waited": 0,
        }  # early stopping with the old knobs says nothing about the new ones
    if changed_knobs & {"batch_size", "gradient_accumulation"}:
        since = training_batches.ScheduleStart(*numbers.get("since", ()))
        numbers_now["since"] = list(training_batches.work_after(since, old_knobs, int(numbers["step"])))
    if changed_knobs & set(RESTARTING):
        notes += _restart_notes(numbers["partial"])
        numbers_now["partial"], optimizer = (
            None,
            {key: tensor for key, tensor in optimizer.items() if key != "gradient"},
        )
    if "optimizer" in changed_knobs:
        optimizer = {key: tensor for key, tensor in optimizer.items() if key == "gradient"}
        numbers_now["optimizer"] = {}
        notes.append(
            f"{knobs['optimizer']} starts from scratch: the checkpoint has {old_knobs['optimizer']} state"
        )
    return Snapshot(snapshot.adapter, optimizer, numbers_now), notes


def _check(snapshot: Snapshot, knobs: Mapping[str, Value], factors: Mapping[str, torch.Tensor]) -> None:
    missing = factors.keys() ^ snapshot.adapter.keys()
    if missing:
        raise _unfit(
            f"target_modules = {knobs['target_modules']} does not match the checkpoint: {min(missing)}"
        )
    for name, factor in factors.items():
        shape = snapshot.adapter[name].shape
        if shape != factor.shape:
            rank = min(shape)
            raise _unfit(f"lora_rank = {knobs['lora_rank']}, but the checkpoint has rank {rank} ({name})")


def _unfit(what: str) -> TrimtabError:
    fix = "clone with the parent's lora_rank and target_modules, or queue a new trial"
    return TrimtabError.of(what, "the checkpoint", fix)


def _restart_notes(partial: Mapping[str, Any]) -> list[str]:
    if partial["micro_batches"]:
        return [f"{partial['micro_batches']} micro-batches of the incomplete step will be repeated"]
    return ["the incomplete evaluation will be repeated"] if partial["judged"] else []
