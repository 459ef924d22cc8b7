"""Stacks the factors of all trials on a device for batched products, and plans a pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from core.train.adapters.lora_factors import Factors
from core.train.base.linear_layer_layout import Layout
from core.train.kernels import counter_dropout, fast_path, pinned_transfer
from core.train.kernels.fast_path import FastPath
from core.train.kernels.fused_ops import Words

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
        kept = torch.float32 if path.wide_gradients else dtype
        self.grads = torch.empty(0, dtype=kept, device=device)
        self._lent: list[tuple[Factors, torch.Tensor]] = []
        self._views: dict[tuple[int, int, int], Views] = {}
        for factors in members:
            self.refresh(factors)

    def refresh(self, factors: Factors) -> None:
        """Copy the trial's current factors into its slot."""
        slot = self.weights[self.members.index(factors), : factors.rank]
        slot.copy_(factors.matrix)
        slot[:, self.layout.split :] *= factors.scale

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
        grad = self.grads[self.members.index(factors), : factors.rank]
        grad[:, self.layout.split :] *= factors.scale
        if factors.grad is not None:
            factors.grad += grad
        elif grad.dtype == torch.float32:
            factors.grad = grad
            self._lent.append((factors, grad))
        else:
            factors.grad = grad.float()


@dataclass
class Run:
    """Trials of a group in neighbouring slots, computed in one product: batched if they have equally many
    rows, else grouped by ``ends``."""

    group: Group
    slots: slice
    rows: slice
    counts: list[int]  # rows of each trial
    drops: bool  # whether dropout applies, in training
    ends: torch.Tensor | None = None  # the row after each trial's last, from the run's first, (count,) int32
    written: set[int] = field(default_factory=set)  # layers for which this pass has a gradient
    dropped: counter_dropout.Rows | None = None  # its dropout rows, once a mask was made
    _token_ends: dict[int, torch.Tensor] = field(default_factory=dict)  # by the length of a row

    @property
    def count(self) -> int:
        """The number of trials."""
        return len(self.counts)

    @property
    def even(self) -> bool:
        """Whether all trials have equally many rows."""
        return min(self.counts) == max(self.counts)

    def views(self, place: int) -> Views:
        """The factors of the run's trials at ``place``."""
        return self.group.views(self.slots, place)

    def multiply(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Each trial's part of ``left`` times its own matrix of ``right`` (count, inputs, outputs). ``left``
        is (count, tokens, inputs), or (tokens of all, inputs) where trials have different numbers."""
        if self.ends is None:
            return torch.bmm(left, right)
        return torch._grouped_mm(left, right, offs=self._ends_of(left))

    def add_product(self, total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        """Add ``multiply`` to ``total``."""
        if self.ends is None:
            total.baddbmm_(left, right)
        else:
            total.add_(self.multiply(left, right))

    def _ends_of(self, tokens: torch.Tensor) -> torch.Tensor:
        """The token after each trial's last."""
        assert self.ends is not None
        length = tokens.shape[0] // sum(self.counts)
        ends = self._token_ends.get(length)
        if ends is None:
            ends = self._token_ends[length] = self.ends * length
        return ends

    def learn(
        self, place: int, down: tuple[torch.Tensor, torch.Tensor], up: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """Add the products of the pairs (tokens × rank, tokens × channels): of ``down`` to the gradient of A,
        and of ``up`` to that of B. The first call of a pass overwrites the previous pass's gradient."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for view, pair in ((layout.a(grads, place), down), (layout.b(grads, place), up)):
            self._add_outer(view, *pair, again=place in self.written)  # the base called the layer twice
        self.written.add(place)

    def _add_outer(self, view: torch.Tensor, left: torch.Tensor, right: torch.Tensor, again: bool) -> None:
        """Write the sum over tokens of the outer products to ``view``, or add it."""
        if self.ends is not None:
            product = torch._grouped_mm(left.t(), right, offs=self._ends_of(left))
        elif self.group.path.wide_gradients and again:
            product = torch.bmm(left.transpose(1, 2), right, torch.float32)
        elif again:
            view.baddbmm_(left.transpose(1, 2), right)
            return
        elif self.group.path.wide_gradients:
            torch.bmm(left.transpose(1, 2), right, torch.float32, out=view)
            return
        else:
            torch.bmm(left.transpose(1, 2), right, out=view)
            return
        view.add_(product) if again else view.copy_(product)

    def finish(self) -> None:
        """Zero the gradients of layers that the base model did not call."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for place in layout.places:
            if place.index not in self.written:
                layout.a(grads, place.index).zero_()
                layout.b(grads, place.index).zero_()


@dataclass
class Plan:
    """Assigns the rows of a pass to trials. ``words``: keys and thresholds of the rows, (rows,) int32, and
    the factors by which dropout multiplies what is kept, (rows,) in the base model's dtype."""

    rows: int
    runs: list[Run]
    words: Words
    trains: bool
    alone: bool  # a single trial: all tokens belong to it, wherever the base model moves them
    at: dict[int, list[Run]] = field(default_factory=dict)

    def rows_of(self, run: Run) -> counter_dropout.Rows:
        """The run's rows, which make the dropout masks."""
        if run.dropped is None:
            run.dropped = counter_dropout.Rows(*(word[run.rows] for word in self.words[:2]))
        return run.dropped

    def runs_at(self, place: int) -> list[Run]:
        """The runs whose trials have factors at ``place``."""
        runs = self.at.get(place)
        if runs is None:
            runs = self.at[place] = [run for run in self.runs if place in run.group.layout]
        return runs


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
            kinds.setdefault(self._kind(factors), []).append((batch, factors))
        self.groups = []  # frees the old groups first
        for kind in sorted(kinds):
            ordered = sorted(kinds[kind], key=lambda pair: pair[0])  # stable: equal batches side by side
            members = [factors for _, factors in ordered]
            self.groups.append(Group(members, self._dtype, self._device, self._path_of(members[0].layout)))

    def _kind(self, factors: Factors) -> tuple[Any, ...]:
        """The key of the group that a trial belongs to. On a CPU arithmetic is slow and calls are cheap, so
        ranks are not padded. On a GPU it is the other way round."""
        places = tuple(place.index for place in factors.layout.places)
        drops = factors.dropout > 0 and not self.path.dropout
        pads = self.path.grouped or self._device.type != "cpu"
        return (drops, places, 0 if pads else factors.rank)

    def _path_of(self, layout: Layout) -> FastPath:
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

    def order(self, wanted: Sequence[Factors]) -> list[Factors]:
        """Sort trials into the order that their rows must have in a pass."""
        known = {id(factors) for factors in wanted}
        return [member for group in self.groups for member in group.members if id(member) in known]

    def plan_pass(self, rows: Sequence[tuple[Factors, Sequence[int]]], trains: bool, bare: int = 0) -> Plan:
        """Plan a pass over ``rows``: each trial, in ``order``, with the dropout key of each of its rows. A
        pass that does not train can end with ``bare`` rows of the base model itself."""
        counts = {id(factors): len(keys) for factors, keys in rows}
        runs: list[Run] = []
        at = 0
        for group in self.groups:
            for slot, member in enumerate(group.members):
                count = counts.get(id(member), 0)
                if count:
                    self._extend(runs, group, slot, at, count, trains)
                    at += count
        return Plan(at + bare, runs, self._stage(rows, runs), trains, len(rows) == 1 and not bare)

    def _extend(self, runs: list[Run], group: Group, slot: int, at: int, count: int, trains: bool) -> None:
        """Add a trial's rows to the last run, or begin another."""
        last = runs[-1] if runs else None
        drops = trains and group.members[slot].dropout > 0
        if (
            last is not None
            and last.group is group
            and last.slots.stop == slot
            and (group.path.grouped or last.counts[-1] == count)
        ):
            last.slots, last.rows = slice(last.slots.start, slot + 1), slice(last.rows.start, at + count)
            last.counts.append(count)
            last.drops = last.drops or drops
            return
        runs.append(Run(group, slice(slot, slot + 1), slice(at, at + count), [count], drops))

    def _stage(self, rows: Sequence[tuple[Factors, Sequence[int]]], runs: Sequence[Run]) -> Words:
        """Copy the dropout words of the rows, and the ends of the runs that need them, to the device."""
        keys = torch.tensor([key for _, row_keys in rows for key in row_keys], dtype=torch.int32)
        limits = [counter_dropout.threshold(factors.dropout) for factors, keys in rows for _ in keys]
        thresholds = torch.tensor(limits, dtype=torch.int32)
        uneven = [run for run in runs if not run.even]
        ends = [torch.tensor(run.counts, dtype=torch.int32).cumsum(0, dtype=torch.int32) for run in uneven]
        scales = counter_dropout.scales(thresholds, self._dtype)
        moved = pinned_transfer.to_device(self._device, keys, thresholds, scales, *ends)
        for run, run_ends in zip(uneven, moved[3:], strict=True):
            run.ends = run_ends
        return moved[0], moved[1], moved[2]

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
