"""One pass of the base model over rows of many trials: losses, hits and gradients."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base import cross_entropy
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.data.dataset import MASKED, Row
from core.train.kernels import pinned_transfer
from core.train.kernels.row_attention import Bounds
from core.train.step import padding_free_batch, residual_stream
from core.train.step.augmentation import Augment, embed, find_smoothing
from core.train.step.padding_free_batch import RowAttention
from core.train.step.residual_stream import ResidualStream
from core.train.step.target_token_losses import Reading, split_rows


@dataclass(frozen=True)
class Item:
    """A row with its dropout ``key``; ``mine`` are its trial's factors, None for the base model itself.
    ``state``: the residual stream before its first target is read, too; ``augment``: in training."""

    mine: Factors | None
    row: Row
    key: int = 0
    state: bool = False
    augment: Augment | None = None


def count_targets(rows: Sequence[Row]) -> int:
    """Count the target tokens of rows; the first token of a row is never predicted."""
    return sum(int(np.count_nonzero(row.labels[1:] != MASKED)) for row in rows)


def find_targets(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """The targets of padded rows and the flat positions (of B × T) before them, both (K,) int64.

    Computed on the host with numpy, so that their number is known without waiting for the device.
    """
    width = max(len(row.labels) for row in rows)
    labels = np.full((len(rows), width), MASKED, dtype=np.int64)
    for line, row in zip(labels, rows, strict=True):
        line[: len(row.labels) - 1] = row.labels[1:]  # what each position but the last predicts
    flat = labels.reshape(-1)
    at = np.flatnonzero(flat != MASKED)
    return flat[at], at


def pad_ids(rows: Sequence[Row], pad_id: int) -> torch.Tensor:
    """The token ids of the rows, padded on the right to the longest: (B, T) int64."""
    padded = np.full((len(rows), max(len(row.ids) for row in rows)), pad_id, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row.ids)] = row.ids
    return torch.from_numpy(padded)


class Inputs(NamedTuple):
    """The tensors of a pass on the device: token ids (B, T); the targets and the flat places before them
    (K,), int64. Of a padding-free batch, (1, T), also their positions and bounds."""

    ids: torch.Tensor
    targets: torch.Tensor
    at: torch.Tensor
    positions: torch.Tensor | None = None
    bounds: Bounds | None = None


class Forward:
    """Runs a base model with a stack of adapters. ``head`` is None where the base's own logits are used."""

    def __init__(self, base: Base, stack: Stack, head: Head | None) -> None:
        self._base, self._stack, self.head = base, stack, head
        self._residual, self._attention = ResidualStream(base.model), RowAttention(base.model)
        self.collate_s = 0.0  # time in which the host padded rows

    def train(self, items: Sequence[Item], padding_free: bool = False) -> list[tuple[Factors, torch.Tensor]]:
        """Each trial's summed loss over its rows, nats, float32 scalars on the device. The gradients are then
        in the trials' factors; after an error there are none. ``padding_free``: the rows are concatenated."""
        owners, ordered = self._begin(items, trains=True, padding_free=padding_free)
        stepped: list[Factors] = []
        try:
            inputs = self._collate(ordered, padding_free)
            with self._make_attention(inputs):
                losses, counts, _ = self._run_pass(owners, ordered, inputs, grad=True)
                del inputs  # nothing reads the ids any more
                losses.sum().backward()
            stepped = owners
        finally:
            self._stack.end(stepped)
        return list(zip(owners, _sum_rows(losses.detach(), counts), strict=True))

    @torch.no_grad()
    def judge(
        self, items: Sequence[Item], padding_free: bool = False
    ) -> list[tuple[Factors, torch.Tensor, torch.Tensor]]:
        """Each trial's summed loss and hits (targets that were the first choice), scalars on the device."""
        owners, ordered = self._begin(items, trains=False, padding_free=padding_free)
        try:
            inputs = self._collate(ordered, padding_free)
            with self._make_attention(inputs):
                losses, counts, hits = self._run_pass(owners, ordered, inputs, grad=False)
        finally:
            self._stack.end()
        return list(zip(owners, _sum_rows(losses, counts), _sum_rows(hits.float(), counts), strict=True))

    @torch.no_grad()
    def rate(self, items: Sequence[Item], padding_free: bool = False) -> list[tuple[Item, Reading]]:
        """The likelihood of each row, of trials and of the base model itself in one pass, and the states that
        are asked for, which a padding-free pass does not give."""
        _, ordered = self._begin(items, trains=False, padding_free=padding_free)
        counts = [count_targets([item.row]) for item in ordered]
        places_with_states = [place for place, item in enumerate(ordered) if item.state and counts[place]]
        assert not (places_with_states and padding_free)
        try:
            with self._residual.record(
                _find_before_first_target(ordered, counts, places_with_states)
            ) as states:
                values = self._compute_losses_and_hits(ordered, padding_free)
        finally:
            self._stack.end()
        readings = split_rows(values, counts)
        for place, state in zip(
            places_with_states, residual_stream.encode_bytes(states, len(places_with_states)), strict=True
        ):
            readings[place] = replace(readings[place], state=state)
        return list(zip(ordered, readings, strict=True))

    def _begin(
        self, items: Sequence[Item], trains: bool, padding_free: bool = False
    ) -> tuple[list[Factors], list[Item]]:
        """Begin a pass; return its trials and their items, in the order of the stack."""
        keys: dict[int, list[int]] = {}
        starts: dict[int, list[int]] = {}
        for item in items:
            blocks = padding_free_batch.find_block_starts(item.row) if padding_free else range(1)
            keys.setdefault(id(item.mine), []).extend(item.key for _ in blocks)
            starts.setdefault(id(item.mine), []).extend(blocks)
        owners = self._stack.order([item.mine for item in items if item.mine is not None])
        if owners:
            rows, bare = [(owner, keys[id(owner)]) for owner in owners], len(keys.get(id(None), ()))
            firsts = [start for owner in owners for start in starts[id(owner)]] if padding_free else ()
            length = max(len(item.row.ids) for item in items)
            self._stack.begin(self._stack.plan_pass(rows, trains, bare, firsts, length))
        order = {id(owner): index for index, owner in enumerate(owners)}
        return owners, sorted(items, key=lambda item: order.get(id(item.mine), len(owners)))

    def _run_pass(
        self, owners: Sequence[Factors], items: Sequence[Item], inputs: Inputs, grad: bool
    ) -> tuple[torch.Tensor, list[int], torch.Tensor]:
        """Losses (K,) and hits (K,) of the target tokens, row after row, and the token count of each owner.

        No attention mask is passed: padding is on the right, where a causal model cannot see it, and SDPA
        stays on its fast causal path.
        """
        counts = [count_targets([item.row for item in items if item.mine is owner]) for owner in owners]
        outputs, targets = self._run(inputs, items), inputs.targets
        if self.head is None:
            losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
            return self._smooth(losses, outputs, targets, items), counts, outputs.argmax(-1) == targets
        if grad:
            losses = cross_entropy.compute_losses(outputs, self.head, targets)
            return self._smooth(losses, outputs, targets, items), counts, targets
        losses, hits = cross_entropy.judge(outputs, self.head, targets)
        return losses, counts, hits

    def _smooth(
        self, losses: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor, items: Sequence[Item]
    ) -> torch.Tensor:
        """Smooth the labels of the items that ask for it."""
        if all(item.augment is None for item in items):
            return losses
        smoothing = find_smoothing([(count_targets([item.row]), item.augment) for item in items])
        if smoothing is None:
            return losses
        at, shares = pinned_transfer.copy_to_device(losses.device, *map(torch.from_numpy, smoothing))
        gaps = cross_entropy.compute_target_gaps(
            outputs.index_select(0, at), self.head, targets.index_select(0, at)
        )
        return losses.index_add(0, at, shares * gaps)

    def _compute_losses_and_hits(self, items: Sequence[Item], padding_free: bool) -> torch.Tensor:
        """Losses and hits (2, K) float32 of the target tokens, row after row."""
        inputs = self._collate(items, padding_free)
        with self._make_attention(inputs):
            outputs, targets = self._run(inputs, items), inputs.targets
        if self.head is None:
            losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
            hits = outputs.argmax(-1) == targets
        else:
            losses, hits = cross_entropy.judge(outputs, self.head, targets)
        return torch.stack([losses, hits.float()])

    def _collate(self, items: Sequence[Item], padding_free: bool) -> Inputs:
        """Copy the rows to the device."""
        rows, began, device = [item.row for item in items], time.perf_counter(), self._base.device
        if padding_free:
            line = padding_free_batch.concatenate(rows, self._base.pad_id)
            on_host = (line.ids, line.targets, line.at, line.positions, line.ends)
            ids, targets, at, positions, ends = pinned_transfer.copy_to_device(device, *on_host)
            inputs = Inputs(ids, targets, at, positions, Bounds(line.lengths, ends))
        else:
            target_ids, places = (torch.from_numpy(array) for array in find_targets(rows))
            padded = pad_ids(rows, self._base.pad_id)
            inputs = Inputs(*pinned_transfer.copy_to_device(device, padded, target_ids, places)[:3])
        self.collate_s += time.perf_counter() - began
        return inputs

    def _make_attention(self, inputs: Inputs) -> Any:
        return self._attention.within(inputs.bounds) if inputs.bounds is not None else nullcontext()

    def _run(self, inputs: Inputs, items: Sequence[Item]) -> torch.Tensor:
        """The base model's outputs at the places that predict the targets: hidden states (K, H), or logits
        (K, V) float32 where there is no head."""
        model_inputs: dict[str, Any] = {"input_ids": inputs.ids, "use_cache": False}
        if inputs.positions is not None:
            model_inputs["position_ids"] = inputs.positions
        with embed(self._base, [(item.row, item.key, item.augment) for item in items]):
            if self.head is None:
                logits = self._base.model(**model_inputs).logits
                return logits.flatten(0, 1)[inputs.at].float()
            hidden = self._base.model.base_model(**model_inputs).last_hidden_state
        return hidden.flatten(0, 1).index_select(0, inputs.at)


def _find_before_first_target(
    items: Sequence[Item], counts: Sequence[int], wanted_places: Sequence[int]
) -> list[int]:
    """The flat positions (of B × T) before the first target of the rows ``wanted_places``; ``counts``: the
    number of targets of each row."""
    if not wanted_places:
        return []
    _, at = find_targets([item.row for item in items])
    firsts = np.cumsum([0, *counts])
    return [int(at[firsts[place]]) for place in wanted_places]


def _sum_rows(values: torch.Tensor, counts: Sequence[int]) -> Iterator[torch.Tensor]:
    """Sum each piece by itself, so that a NaN of one trial does not reach another."""
    return (piece.sum() for piece in values.split(list(counts)))
