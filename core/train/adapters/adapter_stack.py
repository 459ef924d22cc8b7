"""Stacks the factors of all trials on a device for batched products, and plans a pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from core.train.adapters.lora_factors import Factors
from core.train.adapters.pass_plan import Plan, Run
from core.train.base.factor_matrix_layout import Layout
from core.train.kernels import adapter_ops, counter_dropout, fast_path, pinned_transfer
from core.train.kernels.dropout_loss_ops import Words
from core.train.kernels.fast_path import FastPath

PADDED = 8  # a grouped product takes rows of whole 16 bytes


class Views(NamedTuple):
    """A (count, rank, inputs), Bᵀ · alpha / r (count, rank, outputs), and the transposes of both."""

    a: torch.Tensor
    a_turned: torch.Tensor
    b: torch.Tensor
    b_turned: torch.Tensor


class Group:
    """Trials with factors on the same layers: ``weights`` and ``grads`` are (slots, rank, width).

    Smaller ranks are padded with rows of zeros, whose gradient is zero, so the result is exact. ``weights``
    is the copy that the base model computes with, in its dtype, with alpha / r in B; ``grads`` are the
    gradients of the last pass.
    """

    def __init__(
        self, members: Sequence[Factors], dtype: torch.dtype, device: torch.device, path: FastPath
    ) -> None:
        self.members, self.layout, self.path = list(members), members[0].layout, path
        self.rank = max(factors.rank for factors in members)
        if path.grouped:
            self.rank = -(-self.rank // PADDED) * PADDED
        self.weights = torch.zeros(len(members), self.rank, self.layout.width, dtype=dtype, device=device)
        gradient_dtype = torch.float32 if path.wide_gradients else dtype
        self.grads = torch.empty(0, dtype=gradient_dtype, device=device)
        self._lent: list[tuple[Factors, torch.Tensor]] = []
        self._views: dict[tuple[int, int, int], Views] = {}
        for factors in members:
            self.refresh(factors)

    @property
    def fuses(self) -> bool:
        """Whether products with its factors can be fused with dropout, and for any number of rows."""
        return self.path.adapters and self.rank <= adapter_ops.MOST

    def refresh(self, factors: Factors) -> None:
        """Copy the trial's current factors into its slot."""
        slot = self.weights[self.members.index(factors), : factors.rank]
        slot.copy_(factors.matrix)
        slot[:, self.layout.split :].mul_(factors.scale)  # ``*=`` would copy the view onto itself

    def views(self, slots: slice, place: int) -> Views:
        """The factors at ``place`` of the trials in ``slots``, cached: making a view costs as much as a small
        product."""
        key = slots.start, slots.stop, place
        views = self._views.get(key)
        if views is None:
            weights = self.weights[slots]
            a, b = self.layout.a(weights, place), self.layout.b(weights, place)
            views = self._views[key] = Views(a, a.transpose(1, 2), b, b.transpose(1, 2))
        return views

    def own(self) -> None:
        """Copy the gradients that are still needed: the next pass overwrites the views that were lent."""
        for factors, view in self._lent:
            grad = factors.grad
            if grad is not None and grad is view:  # not consumed yet
                factors.grad = grad.clone()
        self._lent.clear()

    def begin(self) -> None:
        """Prepare for a pass that trains."""
        self.own()
        if self.grads.numel() == 0:
            self.grads = torch.empty_like(self.weights, dtype=self.grads.dtype)

    def collect(self, factors: Factors) -> None:
        """Give the trial its gradient of the pass, as a view until the next pass where that is possible."""
        view = self.grads[self.members.index(factors), : factors.rank]
        grad = view.float()  # before it is scaled: a product is rounded to the view's dtype
        grad[:, self.layout.split :].mul_(factors.scale)
        if factors.grad is not None:
            factors.grad += grad
            return
        factors.grad = grad
        if grad is view:
            self._lent.append((factors, grad))


class Stack:
    """The groups of the active trials on a device. ``plan`` is that of the current pass, if any."""

    def __init__(self, dtype: torch.dtype, device: torch.device, front: Stack | None = None) -> None:
        """With ``front``, its passes use the gates of that stack, and must never overlap with its passes."""
        self._dtype, self._device, self._front = dtype, device, front or self
        self.path = fast_path.choose(device, dtype)
        self.groups: list[Group] = []
        self.plan: Plan | None = None
        self.anchor = torch.zeros((), requires_grad=True, device=device)  # makes autograd call the gates

    def compose(self, active: Sequence[tuple[Factors, int]]) -> None:
        """Stack exactly these trials, given with their batch sizes. Groups are sorted by kind, and slots by
        batch size."""
        kinds: dict[tuple[Any, ...], list[tuple[int, Factors]]] = {}
        for factors, batch in active:
            kinds.setdefault(self._name_kind(factors), []).append((batch, factors))
        self.groups = []  # frees the old groups first
        for kind in sorted(kinds):
            ordered = sorted(kinds[kind], key=lambda pair: pair[0])  # stable: equal batches side by side
            members = [factors for _, factors in ordered]
            self.groups.append(Group(members, self._dtype, self._device, self._find_path(members[0].layout)))

    def _name_kind(self, factors: Factors) -> tuple[Any, ...]:
        """The key of the group that a trial belongs to. On a CPU arithmetic is slow and calls are cheap, so
        ranks are not padded. On a GPU it is the other way round."""
        places = tuple(place.index for place in factors.layout.places)
        drops = factors.dropout > 0 and not self.path.dropout
        pads = self.path.grouped or self.path.adapters or self._device.type != "cpu"
        return (drops, places, 0 if pads else factors.rank)

    def _find_path(self, layout: Layout) -> FastPath:
        """The fused kernels for factors of this layout: grouped products need whole 16 bytes in each row."""
        fits = all(place.inputs % PADDED == place.outputs % PADDED == 0 for place in layout.places)
        return self.path if fits else replace(self.path, grouped=False)

    def refresh(self, changed: Iterable[Factors]) -> None:
        """Copy the factors of trials that made a step."""
        group_of = {id(member): group for group in self.groups for member in group.members}
        for factors in changed:
            group_of[id(factors)].refresh(factors)

    def bytes_of(self, factors: Factors) -> int:
        """The size of the trial's slot, weights and gradients, bytes."""
        for group in self.groups:
            if any(member is factors for member in group.members):
                size = group.weights.element_size() + group.grads.element_size()
                result: int = group.weights[0].numel() * size
                return result
        return 0

    def order(self, factors_wanted: Sequence[Factors]) -> list[Factors]:
        """Sort trials into the order that their rows must have in a pass."""
        wanted_ids = {id(factors) for factors in factors_wanted}
        return [member for group in self.groups for member in group.members if id(member) in wanted_ids]

    def plan_pass(
        self, rows: Sequence[tuple[Factors, Sequence[int]]], trains: bool, bare: int = 0,
        starts: Sequence[int] = (), length: int = 0,
    ) -> Plan:  # fmt: skip
        """Plan a pass over ``rows``: each trial, in ``order``, with the dropout key of each of its rows. A
        pass that does not train can end with ``bare`` rows of the base model itself. In a padding-free pass
        the rows are blocks; ``starts`` are the positions of their first tokens. A pass that trains needs the
        ``length`` that its rows are padded to."""
        counts = {id(factors): len(keys) for factors, keys in rows}
        runs: list[Run] = []
        at = 0
        for group in self.groups:
            for slot, member in enumerate(group.members):
                count = counts.get(id(member), 0)
                if count:
                    self._extend(runs, group, slot, at, count, trains)
                    at += count
        words = self._stage(rows, runs, starts)
        alone = len(rows) == 1 and not bare
        return Plan(at + bare, runs, words, trains, alone, bool(starts), (at + bare) * length)

    def _extend(self, runs: list[Run], group: Group, slot: int, at: int, count: int, trains: bool) -> None:
        """Add a trial's rows to the last run, or begin another."""
        last = runs[-1] if runs else None
        drops = trains and group.members[slot].dropout > 0
        if (
            last is not None
            and last.group is group
            and last.slots.stop == slot
            and (group.path.grouped or group.fuses or last.counts[-1] == count)
        ):
            last.slots, last.rows = slice(last.slots.start, slot + 1), slice(last.rows.start, at + count)
            last.counts.append(count)
            last.drops = last.drops or drops
            return
        runs.append(Run(group, slice(slot, slot + 1), slice(at, at + count), [count], drops))

    def _stage(
        self, rows: Sequence[tuple[Factors, Sequence[int]]], runs: Sequence[Run], starts: Sequence[int]
    ) -> Words:
        """Copy the dropout words of the rows, and where the rows of runs belong, to the device."""
        keys = torch.tensor([key for _, row_keys in rows for key in row_keys], dtype=torch.int32)
        limits = [counter_dropout.compute_threshold(factors.dropout) for factors, keys in rows for _ in keys]
        thresholds = torch.tensor(limits, dtype=torch.int32)
        located = [run for run in runs if not run.even or (run.drops and run.group.fuses)]
        tables = [table for run in located for table in run.tables()]
        scales = counter_dropout.compute_scales(thresholds, self._dtype)
        firsts = torch.tensor(starts or [0] * len(keys), dtype=torch.int32)
        moved = pinned_transfer.copy_to_device(self._device, keys, thresholds, scales, firsts, *tables)
        words = moved[0], moved[1], moved[2], moved[3]
        for run, ends, slots in zip(located, moved[4::2], moved[5::2], strict=True):
            run.locate(ends, slots, words)
        return words

    def own(self) -> None:
        """Turn every trial's gradient into a tensor of its own."""
        for group in self.groups:
            group.own()

    def begin(self, plan: Plan) -> None:
        """Begin a pass: the base model now computes with ``plan``."""
        self._front.plan = plan
        if plan.trains:
            for group in {id(run.group): run.group for run in plan.runs}.values():
                group.begin()

    def end(self, trained: Sequence[Factors] = ()) -> None:
        """End the pass and give gradients to ``trained``; without any, the gradients are discarded."""
        plan, self._front.plan = self._front.plan, None
        if plan is None or not trained:
            return
        for run in plan.runs:
            run.finish()
        group_of = {id(member): group for group in self.groups for member in group.members}
        for factors in trained:
            group_of[id(factors)].collect(factors)
