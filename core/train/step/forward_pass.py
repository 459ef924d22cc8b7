"""One pass of the base over rows of many trials: losses, hits, and gradients in their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base import cross_entropy
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.data.dataset import MASKED, Row, collate
from core.train.step.row_likelihood import Reading, readings

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    """A row; ``key`` is its dropout key, ``mine`` the trial's factors, None for the base itself."""

    mine: Factors | None
    row: Row
    key: int = 0


def count_targets(rows: Sequence[Row]) -> int:
    """Tokens that are predicted and learnt: the first of a row is never predicted."""
    return sum(1 for row in rows for label in row.labels[1:] if label != MASKED)


def learnt(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """The target tokens of padded rows and the flat positions (of B × T) that predict them, both (K,) int64.

    On the host and by numpy: their number is known before a device has done anything.
    """
    width = max(len(row.labels) for row in rows)
    labels = np.full((len(rows), width), MASKED, dtype=np.int64)
    for line, row in zip(labels, rows, strict=True):
        line[: len(row.labels) - 1] = row.labels[1:]  # what each position but the last predicts
    flat = labels.reshape(-1)
    at = np.flatnonzero(flat != MASKED)
    return flat[at], at


class Forward:
    """Computes on a base with a stack of adapters. ``head`` is None where the base's own logits are used."""

    def __init__(self, base: Base, stack: Stack, head: Head | None) -> None:
        self._base, self._stack, self.head = base, stack, head

    def train(self, items: Sequence[Item]) -> list[tuple[Factors, torch.Tensor]]:
        """Each trial's summed loss over its rows, nats, float32 scalars on the device. Their gradients are in
        the trials' factors after it; on an error nothing is."""
        owners, ordered = self._lay(items, trains=True)
        done: list[Factors] = []
        try:
            losses, counts, _ = self._pass(owners, ordered, grad=True)
            losses.sum().backward()
            done = owners
        finally:
            self._stack.end(done)
        return list(zip(owners, _sums(losses.detach(), counts), strict=True))

    @torch.no_grad()
    def judge(self, items: Sequence[Item]) -> list[tuple[Factors, torch.Tensor, torch.Tensor]]:
        """Each trial's summed loss and its targets that were the first choice, scalars on the device."""
        owners, ordered = self._lay(items, trains=False)
        try:
            losses, counts, hits = self._pass(owners, ordered, grad=False)
        finally:
            self._stack.end()
        return list(zip(owners, _sums(losses, counts), _sums(hits.float(), counts), strict=True))

    @torch.no_grad()
    def rate(self, items: Sequence[Item], detailed: bool = False) -> list[tuple[Item, Reading]]:
        """A reading of each row, of trials and of the base itself in one pass."""
        _, ordered = self._lay(items, trains=False)
        try:
            found = self._describe(ordered, detailed)
        finally:
            self._stack.end()
        counts = [count_targets([item.row]) for item in ordered]
        return list(zip(ordered, readings(found, counts), strict=True))

    def _lay(self, items: Sequence[Item], trains: bool) -> tuple[list[Factors], list[Item]]:
        """Begin a pass: the trials in it, and their items, in the order of the stack."""
        keys: dict[int, list[int]] = {}
        for item in items:
            keys.setdefault(id(item.mine), []).append(item.key)
        owners = self._stack.order([item.mine for item in items if item.mine is not None])
        if owners:
            mine, bare = [(one, keys[id(one)]) for one in owners], len(keys.get(id(None), ()))
            self._stack.begin(self._stack.lay(mine, trains, bare))
        place = {id(one): index for index, one in enumerate(owners)}
        return owners, sorted(items, key=lambda item: place.get(id(item.mine), len(owners)))

    def _pass(
        self, owners: Sequence[Factors], items: Sequence[Item], grad: bool
    ) -> tuple[torch.Tensor, list[int], torch.Tensor]:
        """Losses (K,) and hits (K,) of the target tokens, row after row, and how many each owner has.

        No attention mask is passed: padding stands on the right, where a causal model cannot see it, and SDPA
        stays on its fast causal path.
        """
        counts = [count_targets([item.row for item in items if item.mine is one]) for one in owners]
        seen, targets = self._see(items)
        if self.head is None:
            losses = torch.nn.functional.cross_entropy(seen, targets, reduction="none")
            return losses, counts, seen.argmax(-1) == targets
        if grad:
            return cross_entropy.losses(seen, self.head, targets), counts, targets
        losses, hits = cross_entropy.judge(seen, self.head, targets)
        return losses, counts, hits

    def _describe(self, items: Sequence[Item], detailed: bool) -> torch.Tensor:
        """(2, K) losses and firsts; ``detailed`` (4, K), see cross_entropy.moments."""
        seen, targets = self._see(items)
        if self.head is None:
            return cross_entropy.described(seen, targets)[: 4 if detailed else 2]
        if detailed:
            return cross_entropy.moments(seen, self.head, targets)
        losses, hits = cross_entropy.judge(seen, self.head, targets)
        return torch.stack([losses, hits.float()])

    def _see(self, items: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the base makes of the places before the targets, and the targets (K,): hidden states (K, H);
        logits (K, V) float32 where there is no head."""
        rows = [item.row for item in items]
        batch = collate(rows, self._base.pad_id, CPU)
        found, at = learnt(rows)
        device = self._base.device
        targets, ids = torch.from_numpy(found).to(device), batch["input_ids"].to(device)
        places = torch.from_numpy(at).to(device)  # (K,)
        if self.head is None:
            logits = self._base.model(input_ids=ids, use_cache=False).logits
            return logits.flatten(0, 1)[places].float(), targets
        hidden = self._base.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return hidden.flatten(0, 1).index_select(0, places), targets


def _sums(values: torch.Tensor, counts: Sequence[int]) -> Iterator[torch.Tensor]:
    """The sum of each piece: one trial's NaN is nobody else's."""
    return (piece.sum() for piece in values.split(list(counts)))
