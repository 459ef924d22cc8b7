"""Traces a step of a pack on a base model, with the real training code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from core.memory.estimate import rows_per_pass
from core.train.adapters import multi_lora_linear, peft_config
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.adapters.multi_lora_linear import Gate
from core.train.base import factor_matrix_layout
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.base.shared_pass_check import survey
from core.train.data.dataset import Row
from core.train.step.forward_pass import Forward, Item
from core.train.tracing import tiny_models
from core.train.tracing.tensor_storage_trace import Event, Trace

EARLIER, LAST, OVER = (
    "layer before the last begins",
    "last layer begins",
    "last layer's backward pass is over",
)
PARTS = 3  # chunks of the loss


@dataclass(frozen=True)
class Part:
    """A trial's part of a batch."""

    rank: int
    rows: int
    dropout: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Trials with rows of equal length; every token except the first of a row is a target."""

    parts: tuple[Part, ...]
    length: int

    @property
    def rows(self) -> int:
        """The number of rows of all trials."""
        return sum(part.rows for part in self.parts)


def draw(seed: int) -> Batch:
    """Draw a batch of two trials, only one with dropout, of different ranks; PARTS divides its targets."""
    dice = random.Random(seed)
    first, second = dice.sample([2, 3, 5, 7], 2)
    rows = dice.choice([(2, 3), (4, 3), (3, 5), (2, 5)])
    return Batch((Part(first, rows[0], 0.1), Part(second, rows[1])), 1 + PARTS * dice.randrange(4, 10))


def compute_widths(sizes: tiny_models.Sizes, batch: Batch, parts: int = PARTS) -> dict[str, float]:
    """The values of the letters in ``core.memory.base.step_formulas`` for this model and batch."""
    dropped = [part for part in batch.parts if part.dropout]
    parts_without_dropout = [part for part in batch.parts if not part.dropout]
    tokens, targets = batch.rows * batch.length, batch.rows * (batch.length - 1)
    return {
        **{name: float(value) for name, value in vars(sizes).items()},
        "N": tokens, "B": batch.rows, "T": batch.length, "K": targets,
        "C": -(-targets // parts), "D": batch.length * sum(part.rows for part in dropped),
        "RD": batch.length * sum(part.rows * part.rank for part in dropped),
        "RP": batch.length * sum(part.rows * part.rank for part in parts_without_dropout), "W": 1.0, "G": 0.0,
    }  # fmt: skip


def trace_step(
    base: Base,
    batch: Batch,
    targets: str | list[str],
    grad: bool = True,
    plain: bool = False,
    head: Head | None = None,
    copies: bool = True,
) -> Sequence[Event]:
    """Trace one pass over ``batch``, with its gradients, as any pass after the first. Unless it is ``plain``,
    the loss is computed in PARTS chunks and, with ``copies``, weights are copied for each product."""
    with (
        nullcontext() if plain else _fill_cache(batch, base, copies),
        prepare(base, batch, targets, grad, head) as work,
    ):
        trace = Trace(work.held)
        with _mark_backward(base, trace) if grad else nullcontext(), trace:
            work()
    return trace.events


class Work:
    """A pass that can be repeated; ``held`` are the tensors that exist before it."""

    def __init__(self, base: Base, stack: Stack, factors: list[Factors], run: Callable[[], Any]) -> None:
        stacked = [tensor for group in stack.groups for tensor in (group.weights, group.grads)]
        self.held = [*_list_tensors(base), *stacked]
        self._factors, self._run = factors, run

    def __call__(self) -> None:
        """Run the pass."""
        for factors in self._factors:
            factors.grad = None
        self._run()


@contextmanager
def prepare(
    base: Base, batch: Batch, targets: str | list[str], grad: bool = True, head: Head | None = None
) -> Iterator[Work]:
    """Prepare a pass over ``batch`` and run it once, so that gradients and tables are allocated."""
    stack, factors, forward = _build_pack(base, batch, targets, head)
    ids = [1 + at % 7 for at in range(batch.length)]
    items = [
        Item(owner, Row(ids, ids))
        for owner, part in zip(factors, batch.parts, strict=True)
        for _ in range(part.rows)
    ]
    run = forward.train if grad else forward.judge
    run(items)
    yield Work(base, stack, factors, lambda: run(items))
    for module in base.model.modules():
        module.__dict__.pop("forward", None)  # removes the gates, for the next pack


@contextmanager
def _fill_cache(batch: Batch, base: Base, copies: bool) -> Iterator[None]:
    with _use_chunks(batch, base), _count_weight_copies() if copies else nullcontext():
        yield


def _build_pack(
    base: Base, batch: Batch, targets: str | list[str], head: Head | None
) -> tuple[Stack, list[Factors], Forward]:
    linear_layers = factor_matrix_layout.find(base.model)
    head = head or survey(base, linear_layers).head
    stack = Stack(base.model.dtype, base.device)
    modules = dict(base.model.named_modules())
    for place in linear_layers:
        Gate(modules[place.name], place, stack)
    layout = factor_matrix_layout.Layout(
        peft_config.select_layers(linear_layers, peft_config.find_targets(linear_layers, targets))
    )
    factors = [Factors(layout, part.rank, 1.0, part.dropout, 0, base.device) for part in batch.parts]
    stack.compose([(owner, part.rows) for owner, part in zip(factors, batch.parts, strict=True)])
    return stack, factors, Forward(base, stack, head)


def _list_tensors(base: Base) -> Iterator[torch.Tensor]:
    yield from base.model.parameters()
    yield from base.model.buffers()


@contextmanager
def _use_chunks(batch: Batch, base: Base) -> Iterator[None]:
    """Compute the loss in PARTS chunks."""
    before = dict(rows_per_pass.CHUNK_BYTES)
    vocabulary = base.model.get_output_embeddings().weight.shape[0]
    tokens = batch.rows * (batch.length - 1) // PARTS
    rows_per_pass.CHUNK_BYTES["cpu"] = 4 * vocabulary * tokens
    try:
        yield
    finally:
        rows_per_pass.CHUNK_BYTES.update(before)


@contextmanager
def _count_weight_copies() -> Iterator[None]:
    """Copy every layer's weight for each product, as dequantisation does."""
    original_weights = {kind: kind.weight for kind in (multi_lora_linear.Dense, multi_lora_linear.Transposed)}

    def add_copy(weight: Any) -> Any:
        return lambda self, dtype: weight(self, dtype).clone()

    try:
        for kind, weight in original_weights.items():
            kind.weight = add_copy(weight)  # type: ignore[method-assign]
        yield
    finally:
        for kind, weight in original_weights.items():
            kind.weight = weight  # type: ignore[method-assign]


@contextmanager
def _mark_backward(base: Base, trace: Trace) -> Iterator[None]:
    """Mark the start of the last two layers and the end of the last one's backward pass."""
    seen_names: set[str] = set()

    def begins(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if name in seen_names:  # recomputed for its gradients
            return
        seen_names.add(name)
        trace.mark(name)
        if name == LAST:
            hidden = arguments[0] if arguments else named["hidden_states"]
            hidden.register_hook(lambda grad: trace.mark(OVER))

    layers = tiny_models.find_layers(base.model)
    handles = [
        layer.register_forward_pre_hook(
            lambda module, arguments, named, name=name: begins(name, arguments, named), with_kwargs=True
        )
        for layer, name in zip(layers[-2:], (EARLIER, LAST), strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
