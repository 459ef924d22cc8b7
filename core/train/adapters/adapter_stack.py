"""The factors of all trials on a device, stacked for batched products; and the plan of one pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from core.train.adapters import counter_dropout
from core.train.adapters.lora_factors import Factors


class Views(NamedTuple):
    """A (count, rank, inputs), B transposed times alpha / r (count, rank, outputs), and both turned."""

    a: torch.Tensor
    a_turned: torch.Tensor
    b: torch.Tensor
    b_turned: torch.Tensor


class Group:
    """Trials whose factors stand at the same places: ``weights`` and ``grads`` are (slots, rank, width).

    Smaller ranks are filled up with rows of zeros, whose gradient is zero: that is exact. ``weights`` is the
    copy that the base computes with, in its dtype, with alpha / r in B; ``grads`` that of the last pass.
    """

    def __init__(self, members: Sequence[Factors], dtype: torch.dtype, device: torch.device) -> None:
        self.members, self.layout = list(members), members[0].layout
        self.rank = max(one.rank for one in members)
        self.weights = torch.zeros(len(members), self.rank, self.layout.width, dtype=dtype, device=device)
        self.grads = torch.empty(0, dtype=dtype, device=device)
        self._lent: list[tuple[Factors, torch.Tensor]] = []
        self._views: dict[tuple[int, int, int], Views] = {}
        for one in members:
            self.refresh(one)

    def refresh(self, one: Factors) -> None:
        """Take the trial's factors over as they are now."""
        slot = self.weights[self.members.index(one), : one.rank]
        slot.copy_(one.matrix)
        slot[:, self.layout.split :] *= one.scale

    def views(self, slots: slice, place: int) -> Views:
        """The factors at ``place`` of the trials in ``slots``. Cached: making a view costs as much as a small
        product."""
        key = slots.start, slots.stop, place
        found = self._views.get(key)
        if found is None:
            weights = self.weights[slots]
            a, b = self.layout.a(weights, place), self.layout.b(weights, place)
            found = self._views[key] = Views(a, a.transpose(1, 2), b, b.transpose(1, 2))
        return found

    def own(self) -> None:
        """Copy the gradients that somebody still needs: the next pass overwrites the views that were lent."""
        for one, view in self._lent:
            kept = one.grad
            if kept is not None and kept is view:  # not used up yet
                one.grad = kept.clone()
        self._lent.clear()

    def begin(self) -> None:
        """Before a pass that trains."""
        self.own()
        if self.grads.numel() == 0:
            self.grads = torch.empty_like(self.weights)

    def collect(self, one: Factors) -> None:
        """Give the trial its gradient of the pass: as a view where it can be, until the next pass."""
        found = self.grads[self.members.index(one), : one.rank]
        found[:, self.layout.split :] *= one.scale
        if one.grad is not None:
            one.grad += found
        elif found.dtype == torch.float32:
            one.grad = found
            self._lent.append((one, found))
        else:
            one.grad = found.float()


@dataclass
class Run:
    """Trials of a group in neighbouring slots with equally many rows: one batched product for all."""

    group: Group
    slots: slice
    rows: slice
    count: int  # trials
    drops: bool  # dropout, in training
    written: set[int] = field(default_factory=set)  # places that the pass has a gradient for
    dropped: counter_dropout.Rows | None = None  # its rows, once a mask was made

    def views(self, place: int) -> Views:
        """The factors of its trials at ``place``."""
        return self.group.views(self.slots, place)

    def learn(self, place: int, down: tuple[torch.Tensor, ...], up: tuple[torch.Tensor, ...]) -> None:
        """Add the products ``down`` to the gradient of A and ``up`` to that of B. The first of a pass
        overwrites what the pass before left."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for view, pair in ((layout.a(grads, place), down), (layout.b(grads, place), up)):
            if place in self.written:  # the base called the layer twice
                view.baddbmm_(*pair)
            else:
                torch.bmm(*pair, out=view)
        self.written.add(place)

    def finish(self) -> None:
        """A layer that the base did not call has no gradient."""
        grads, layout = self.group.grads[self.slots], self.group.layout
        for place in layout.places:
            if place.index not in self.written:
                layout.a(grads, place.index).zero_()
                layout.b(grads, place.index).zero_()


@dataclass
class Plan:
    """Which rows of a pass belong to whom. ``keys`` and ``thresholds``: (rows,) int32, for dropout."""

    rows: int
    runs: list[Run]
    keys: torch.Tensor
    thresholds: torch.Tensor
    trains: bool
    alone: bool  # one trial: every token is its own, wherever the base moves it
    at: dict[int, list[Run]] = field(default_factory=dict)

    def rows_of(self, run: Run) -> counter_dropout.Rows:
        """The run's rows, whose masks are made."""
        if run.dropped is None:
            run.dropped = counter_dropout.Rows(self.keys[run.rows], self.thresholds[run.rows])
        return run.dropped

    def runs_at(self, place: int) -> list[Run]:
        """Those whose trials have factors at ``place``."""
        found = self.at.get(place)
        if found is None:
            found = self.at[place] = [run for run in self.runs if place in run.group.layout]
        return found


class Stack:
    """Groups of the trials that are active on a device. ``plan`` is that of the pass under way, if any."""

    def __init__(self, dtype: torch.dtype, device: torch.device, front: Stack | None = None) -> None:
        """A stack of its own for passes through the gates of ``front``: never while that is in a pass."""
        self._dtype, self._device, self._front = dtype, device, front or self
        self.groups: list[Group] = []
        self.plan: Plan | None = None
        self.anchor = torch.zeros((), requires_grad=True, device=device)  # has autograd look at the factors

    def compose(self, active: Sequence[tuple[Factors, int]]) -> None:
        """Stack these trials, given with their batch sizes, and nobody else. The same trials give the same
        order, whoever came first."""
        kinds: dict[tuple, list[tuple[int, Factors]]] = {}
        for one, batch in active:
            kinds.setdefault(self._kind(one), []).append((batch, one))
        self.groups = []  # frees the old ones first
        for kind in sorted(kinds):
            ordered = sorted(kinds[kind], key=lambda pair: pair[0])  # stable: equal batches side by side
            self.groups.append(Group([one for _, one in ordered], self._dtype, self._device))

    def _kind(self, one: Factors) -> tuple:
        """Trials of one kind share a group. On a CPU arithmetic is dear and calls are cheap: no rank is
        filled up. On a GPU it is the other way round."""
        places = tuple(place.index for place in one.layout.places)
        return (one.dropout > 0, places, one.rank if self._device.type == "cpu" else 0)

    def refresh(self, changed: Iterable[Factors]) -> None:
        """Take over the factors of trials that made a step."""
        ours = {id(one): group for group in self.groups for one in group.members}
        for one in changed:
            ours[id(one)].refresh(one)

    def bytes_of(self, one: Factors) -> int:
        """What the trial's slot takes: weights and gradients."""
        for group in self.groups:
            if any(member is one for member in group.members):
                return 2 * group.weights[0].numel() * group.weights.element_size()
        return 0

    def order(self, wanted: Sequence[Factors]) -> list[Factors]:
        """The order in which their rows must stand in a pass."""
        known = {id(one) for one in wanted}
        return [one for group in self.groups for one in group.members if id(one) in known]

    def lay(self, rows: Sequence[tuple[Factors, Sequence[int]]], trains: bool, bare: int = 0) -> Plan:
        """Plan a pass over ``rows``: each trial, in ``order``, with the dropout key of each of its rows; and
        at its end ``bare`` rows of the base itself, in a pass that does not train."""
        counts = {id(one): len(keys) for one, keys in rows}
        runs: list[Run] = []
        at = 0
        for group in self.groups:
            for slot, one in enumerate(group.members):
                count = counts.get(id(one), 0)
                if count:
                    self._extend(runs, group, slot, at, count, trains)
                    at += count
        keys = [key for _, some in rows for key in some]
        thresholds = [counter_dropout.threshold(one.dropout) for one, some in rows for _ in some]
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
        """Every trial's gradient is its own tensor from here on."""
        for group in self.groups:
            group.own()

    def begin(self, plan: Plan) -> None:
        """The base computes with ``plan`` from here on."""
        self._front.plan = plan
        if plan.trains:
            for group in {id(run.group): run.group for run in plan.runs}.values():
                group.begin()

    def end(self, trained: Sequence[Factors] = ()) -> None:
        """The pass is over: give gradients to ``trained``. None given: what it computed is thrown away."""
        plan, self._front.plan = self._front.plan, None
        if plan is None or not trained:
            return
        for run in plan.runs:
            run.finish()
        ours = {id(one): group for group in self.groups for one in group.members}
        for one in trained:
            ours[id(one)].collect(one)
