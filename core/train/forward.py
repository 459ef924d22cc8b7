"""One pass of the base over rows of many trials: losses, hits, and gradients in their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.train import cross_entropy
from core.train.cross_entropy import Head
from core.train.data import MASKED, Row, collate
from core.train.factors import Factors
from core.train.model import Base
from core.train.stack import Stack

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    """A row of a trial; ``key`` is its dropout key, ``mine`` the trial's factors."""

    mine: Factors
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
        self._base, self._stack, self._head = base, stack, head

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

    def _lay(self, items: Sequence[Item], trains: bool) -> tuple[list[Factors], list[Item]]:
        """Begin a pass: the trials in it, and their items, in the order of the stack."""
        keys: dict[int, list[int]] = {}
        for item in items:
            keys.setdefault(id(item.mine), []).append(item.key)
        owners = self._stack.order(list({id(item.mine): item.mine for item in items}.values()))
        self._stack.begin(self._stack.lay([(one, keys[id(one)]) for one in owners], trains))
        place = {id(one): index for index, one in enumerate(owners)}
        return owners, sorted(items, key=lambda item: place[id(item.mine)])

    def _pass(
        self, owners: Sequence[Factors], items: Sequence[Item], grad: bool
    ) -> tuple[torch.Tensor, list[int], torch.Tensor]:
        """Losses (K,) and hits (K,) of the target tokens, row after row, and how many each owner has.

        No attention mask is passed: padding stands on the right, where a causal model cannot see it, and SDPA
        stays on its fast causal path.
        """
        rows = [item.row for item in items]
        batch = collate(rows, self._base.pad_id, CPU)
        found, at = learnt(rows)
        counts = [count_targets([item.row for item in items if item.mine is one]) for one in owners]
        device = self._base.device
        targets, ids = torch.from_numpy(found).to(device), batch["input_ids"].to(device)
        places = torch.from_numpy(at).to(device)  # (K,)
        if self._head is None:
            logits = self._base.model(input_ids=ids, use_cache=False).logits.flatten(0, 1)[places].float()
            losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            return losses, counts, logits.argmax(-1) == targets
        hidden = self._base.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        hidden = hidden.flatten(0, 1).index_select(0, places)  # (K, H)
        if grad:
            return cross_entropy.losses(hidden, self._head, targets), counts, targets
        losses, hits = cross_entropy.judge(hidden, self._head, targets)
        return losses, counts, hits


def _sums(values: torch.Tensor, counts: Sequence[int]) -> Iterator[torch.Tensor]:
    """The sum of each piece: one trial's NaN is nobody else's."""
    return (piece.sum() for piece in values.split(list(counts)))
