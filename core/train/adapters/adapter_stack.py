"""Stacks the factors of all trials on a device for batched products, and plans a pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.train.adapters import counter_dropout
from core.train.adapters.lora_factors import Factors


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

    def __init__(self, members: Sequence[Factors], dtype: torch.dtype, device: torch.device) -> None:
        self.members, self.layout = list(members), members[0].layout
        self.rank = max(factors.rank for factors in members)
        self.weights = torch.zeros(len(members), self.rank, self.layout.width, dtype=dtype, device=device)
        self.grads = torch.empty(0, dtype=dtype, device=device)
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
            self.grads = torch.empty_like(self.weights)

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
    """Trials of a group in neighbouring slots with equally many rows, computed in one batched product."""

    group: Group
    slots: slice
    rows: slice
    count: int  # trials
    drops: bool  # whether dropout applies, in training
    written: set[int] = field(default_factory=set)  # layers for which this pass has a gradient
    dropped: counter_dropout.Rows | None = None  # its dropout rows, once a mask was made

    def views(self, place: int) -> Views:
        """The factors of the run's trials at ``place``."""
        return self.group.views(self.slots, place)

    def learn(self, place: int, down: tuple[torch.Tensor, ...], up: tuple[torch.Tensor, ...]) -> None:
        """Add the products ``down`` to the gradient of A and ``up`` to that of B. The first call of a pass
        overwrites the previous pass's gradient."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for view, pair in ((layout.a(grads, place), down), (layout.b(grads, place), up)):
            if place in self.written:  # the base called the layer twice
                view.baddbmm_(*pair)
            else:
                torch.bmm(*pair, out=view)
        self.written.add(place)

    def finish(self) -> None:
        """Zero the gradients of layers that the base model did not call."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for place in layout.places:
            if place.index not in self.written:
                layout.a(grads, place.index).zero_()
                layout.b(grads, place.index).zero_()


@dataclass
class Plan:
    """Assigns the rows of a pass to trials. ``keys`` and ``thresholds``: (rows,) int32, for dropout."""

    rows: int
    runs: list[Run]
    keys: torch.Tensor
    thresholds: torch.Tensor
    trains: bool
    alone: bool  # a single trial: all tokens belong to it, wherever the base model moves them
    at: dict[int, list[Run]] = field(default_factory=dict)

    def rows_of(self, run: Run) -> counter_dropout.Rows:
        """The run's rows, which make the dropout masks."""
        if run.dropped is None:
            run.dropped = counter_dropout.Rows(self.keys[run.rows], self.thresholds[run.rows])
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
            self.groups.append(Group([factors for _, factors in ordered], self._dtype, self._device))

    def _kind(self, factors: Factors) -> tuple[Any, ...]:
        """The key of the group that a trial belongs to. On a CPU arithmetic is slow and calls are cheap, so
        ranks are not padded. On a GPU it is the other way round."""
        places = tuple(place.index for place in factors.layout.places)
        return (factors.dropout > 0, places, factors.rank if self._device.type == "cpu" else 0)

    def refresh(self, changed: Iterable[Factors]) -> None:
        """Copy the factors of trials that made a step."""
        group_of = {id(member): group for group in self.groups for member in group.members}
        for factors in changed:
            group_of[id(factors)].refresh(factors)

    def bytes_of(self, factors: Factors) -> int:
        """The size of the trial's slot, weights and gradients, bytes."""
        for group in self.groups:
            if any(member is factors for member in group.members):
                result: int = 2 * group.weights[0].numel() * group.weights.element_size()
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
        keys = [key for _, row_keys in rows for key in row_keys]
        thresholds = [
            counter_dropout.threshold(factors.dropout) for factors, row_keys in rows for _ in row_keys
        ]
        alone = len(rows) == 1 and not bare
        return Plan(at + bare, runs, self._words(keys), self._words(thresholds), trains, alone)

    def _extend(self, runs: list[Run], group: Group, slot: int, at: int, count: int, trains: bool) -> None:
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.group is group
            and last.slots.stop == slot
            and (last.rows.stop - last.rows.start) == count * last.count
        ):
            last.slots, last.rows = slice(last.slots.start, slot + 1), slice(last.rows.start, at + count)
            last.count += 1
            return
        drops = trains and group.members[0].dropout > 0
        runs.append(Run(group, slice(slot, slot + 1), slice(at, at + count), 1, drops))

    def _words(self, values: Sequence[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int32).to(self._device)

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
