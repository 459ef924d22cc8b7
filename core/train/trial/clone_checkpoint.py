"""A checkpoint of another trial, or of a trial whose knobs were others, made fit for the knobs of now.

The factors are taken over as they are, so another ``lora_alpha`` changes what the adapter does at once. Rows
go on in the parent's order after those it had learnt from, however many are taken at a time now; another
``seed`` shuffles anew from there, and so does a ``sequence_length`` that leaves another number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from core.contract.spec.knob_table import Value
from core.errors import TrimtabError
from core.train.checkpoint_files import Snapshot
from core.train.data import training_batches

# A half-done step or evaluation of other rows, or of another function, cannot be gone on with.
WHOLE = ("batch_size", "gradient_accumulation", "sequence_length", "seed", "lora_alpha")


def suited(
    snapshot: Snapshot, knobs: Mapping[str, Value], factors: Mapping[str, torch.Tensor]
) -> tuple[Snapshot, list[str]]:
    """The snapshot for a trial with ``knobs`` and ``factors``, and words on what begins anew. One taken with
    the same knobs comes back as it is. Raises TrimtabError for factors of other places or sizes."""
    _check(snapshot, knobs, factors)
    numbers = snapshot.numbers
    was = numbers.get("knobs") or dict(knobs)  # older checkpoints do not say
    other = {name for name in knobs if name in was and was[name] != knobs[name]}
    notes, optimizer, changed = [], dict(snapshot.optimizer), dict(numbers)
    if other:
        changed |= {"why": "", "waited": 0}  # what ended the old knobs, or nearly, is not these ones' fault
    if other & {"batch_size", "gradient_accumulation"}:
        since = training_batches.ScheduleStart(*numbers.get("since", ()))
        changed["since"] = list(training_batches.work_after(since, was, int(numbers["step"])))
    if other & set(WHOLE):
        notes += _begun_anew(numbers["partial"])
        changed["partial"], optimizer = (
            None,
            {key: one for key, one in optimizer.items() if key != "gradient"},
        )
    if "optimizer" in other:
        optimizer = {key: one for key, one in optimizer.items() if key == "gradient"}
        changed["optimizer"] = {}
        notes.append(
            f"{knobs['optimizer']} begins anew: the checkpoint holds the state of {was['optimizer']}"
        )
    return Snapshot(snapshot.adapter, optimizer, changed), notes


def _check(snapshot: Snapshot, knobs: Mapping[str, Value], factors: Mapping[str, torch.Tensor]) -> None:
    missing = factors.keys() ^ snapshot.adapter.keys()
    if missing:
        raise _unfit(f"target_modules = {knobs['target_modules']} has other layers: {min(missing)}")
    for name, one in factors.items():
        found = snapshot.adapter[name].shape
        if found != one.shape:
            rank = min(found)
            raise _unfit(f"lora_rank = {knobs['lora_rank']} is not that of the checkpoint, {rank} ({name})")


def _unfit(what: str) -> TrimtabError:
    fix = "clone with the parent's lora_rank and target_modules, or queue a new trial"
    return TrimtabError.of(what, "the checkpoint", fix)


def _begun_anew(partial: Mapping[str, Any]) -> list[str]:
    if partial["micro_batches"]:
        return [f"{partial['micro_batches']} micro-batches of a step that was not whole are learnt anew"]
    return ["an evaluation that was not whole begins anew"] if partial["judged"] else []
