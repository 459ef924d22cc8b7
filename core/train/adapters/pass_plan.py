"""Assigns the rows of a pass to trials, and computes the products of each trial's tokens with its factors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from core.train.kernels import adapter_ops, counter_dropout
from core.train.kernels.adapter_ops import Spots
from core.train.kernels.dropout_loss_ops import Words

if TYPE_CHECKING:
    from core.train.adapters.adapter_stack import Group, Views


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
    spots: Spots | None = None  # where its rows belong, if its products are fused
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

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The row after each trial's last, and the trial of each row, counted from the run's first: int32."""
        slots = [slot for slot, rows in enumerate(self.counts) for _ in range(rows)]
        ends = list(itertools.accumulate(self.counts))
        return torch.tensor(ends, dtype=torch.int32), torch.tensor(slots, dtype=torch.int32)

    def locate(self, ends: torch.Tensor, slots: torch.Tensor, words: Words) -> None:
        """Set where the rows belong: ``tables`` and the pass's dropout words, on the device."""
        if self.group.fuses:
            self.spots = Spots(slots, ends, *(word[self.rows] for word in words))
        else:
            self.ends = ends

    def views(self, place: int) -> Views:
        """The factors of the run's trials at ``place``."""
        return self.group.views(self.slots, place)

    def multiply(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Each trial's part of ``left`` times its own matrix of ``right`` (count, inputs, outputs). ``left``
        is (count, tokens, inputs), or (tokens of all, inputs) where trials have different numbers."""
        if self.ends is None:
            return torch.bmm(left, right)
        return torch._grouped_mm(left, right, offs=self._find_ends(left))

    def add_product(self, total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        """Add ``multiply`` to ``total``."""
        if self.ends is None:
            total.baddbmm_(left, right)
        else:
            total.add_(self.multiply(left, right))

    def _find_ends(self, tokens: torch.Tensor) -> torch.Tensor:
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

    def learn_fused(
        self, place: int, down: tuple[torch.Tensor, torch.Tensor], up: tuple[torch.Tensor, torch.Tensor],
        where: Sequence[Any],
    ) -> None:  # fmt: skip
        """The same by fused products; ``down`` is the pair with dropout."""
        grads, layout, again = self.group.grads[self.slots], self.group.layout, place in self.written
        adapter_ops.learn(layout.a(grads, place), *down, *where, self.drops, again)
        adapter_ops.learn(layout.b(grads, place), *up, *where, False, again)
        self.written.add(place)

    def _add_outer(self, view: torch.Tensor, left: torch.Tensor, right: torch.Tensor, again: bool) -> None:
        """Write the sum over tokens of the outer products to ``view``, or add it."""
        if self.ends is not None:
            product = torch._grouped_mm(left.t(), right, offs=self._find_ends(left))
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
    """Assigns the rows of a pass to trials. ``words``: keys and thresholds of the rows, (rows,) int32, the
    factors by which dropout multiplies what is kept, (rows,) in the base model's dtype, and the position of
    each row's first token, (rows,) int32. In a ``padding_free`` pass the rows are equally long blocks,
    (1, tokens, channels). ``tokens``: of all rows, padding included, in a pass that trains."""

    rows: int
    runs: list[Run]
    words: Words
    trains: bool
    alone: bool  # a single trial: all tokens belong to it, wherever the base model moves them
    padding_free: bool = False
    tokens: int = 0
    at: dict[int, list[Run]] = field(default_factory=dict)

    def scatters(self, x: torch.Tensor) -> bool:
        """Whether ``x`` holds tokens of the only trial without their rows, as an expert sees them: neither
        (rows, …) nor all tokens in order."""
        is_whole = x.shape[0] == self.rows or x.numel() // x.shape[-1] == self.tokens
        return self.alone and not self.padding_free and not is_whole

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
