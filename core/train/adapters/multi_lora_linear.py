"""A linear layer of the base model with the adapters of many trials, as one autograd function."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch.nn import functional

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.pass_plan import Plan, Run
from core.train.base.factor_matrix_layout import Place
from core.train.kernels import adapter_ops, counter_dropout, dropout_loss_ops
from core.train.kernels.dropout_loss_ops import Words

FEW = 64  # rows of one token, in generation: with MKL W xᵀ takes 0.5 (8 rows) to 0.8 (64) of x Wᵀ's time


class Kind(Protocol):
    """How a frozen layer computes. The second value of ``forward`` is what ``backward`` needs."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Compute the layer's output, in ``x``'s dtype."""

    def backward(self, g: torch.Tensor, kept: Any) -> torch.Tensor:
        """Compute the gradient of the input from that of the output."""


class Dense:
    """nn.Linear, and the base class for quantised layers, whose weight is dequantised once per pass and
    direction for all trials."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """The weight (outputs, inputs)."""
        return self._module.weight

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Compute x Wᵀ + bias."""
        bias, weight = self._module.bias, self.weight(x.dtype)
        if bias is None and x.device.type == "cpu" and x.shape[-2] == 1 and x.numel() <= FEW * x.shape[-1]:
            return (weight @ x.flatten(0, -2).T).T.contiguous().view(*x.shape[:-1], -1), None
        return functional.linear(x, weight, bias if bias is None else bias.to(x.dtype)), None

    def backward(self, g: torch.Tensor, kept: Any) -> torch.Tensor:
        """Compute g W."""
        return g @ self.weight(g.dtype)


class Transposed(Dense):
    """transformers' Conv1D, as in GPT-2."""

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """A view of the weight as (outputs, inputs)."""
        return self._module.weight.T


class FourBit(Dense):
    """bitsandbytes' Linear4bit.

    With gradient checkpointing the backward pass of a block runs its layers again, then goes back through
    them from the last. The weight of the last one is not dequantised a second time: it is kept until any
    other weight is needed, so that there is never more than one.
    """

    _again: ClassVar[tuple[FourBit, torch.Tensor] | None] = None  # the layer that ran again last

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """(outputs, inputs), dequantised."""
        from bitsandbytes.functional import dequantize_4bit

        again, FourBit._again = FourBit._again, None
        if again is not None and again[0] is self and again[1].dtype == dtype:
            return again[1]
        del again  # else there are two weights
        packed = self._module.weight
        weight: torch.Tensor = dequantize_4bit(packed.data, packed.quant_state).to(dtype)
        if torch._C._current_graph_task_id() >= 0:  # within a backward pass
            FourBit._again = self, weight
        return weight

    def backward(self, g: torch.Tensor, kept: Any) -> torch.Tensor:
        """Compute g W."""
        weight, FourBit._again = self.weight(g.dtype), None
        return g @ weight


class EightBit(Dense):
    """bitsandbytes' Linear8bitLt with only its weight quantised: LLM.int8 also rounds activations, depending
    on outliers in the entire batch, so that a trial would depend on its neighbours."""

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """(outputs, inputs), dequantised."""
        module, packed = self._module, self._module.weight.data
        scale = module.state.SCB if module.state.SCB is not None else module.weight.SCB
        # multiplied in float32 and rounded once: a rounded scale would be off for a whole row
        weight = torch.empty(packed.shape, dtype=dtype, device=packed.device)
        return torch.mul(packed, (scale / 127.0)[:, None], out=weight)


def find_kind(module: Any) -> Kind:
    """Choose how to compute ``module`` with its frozen weight."""
    kinds: dict[str, type[Dense]] = {"Conv1D": Transposed, "Linear4bit": FourBit, "Linear8bitLt": EightBit}
    return kinds.get(type(module).__name__, Dense)(module)


class Gate:
    """Replaces a layer's forward; outside of a pass it calls the original."""

    def __init__(self, module: Any, place: Place, stack: Stack) -> None:
        self._own, self._kind, self._place, self._stack = module.forward, find_kind(module), place, stack
        module.forward = self

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the layer's output with each row's own adapter added."""
        plan = self._stack.plan
        if plan is None:
            return self._own(x)
        return _Adapted.apply(x, self._stack.anchor, self._kind, self._place.index, plan)


class _Adapted(torch.autograd.Function):
    """Computes y = x Wᵀ + s (x ∘ mask) Aᵀ Bᵀ, each row with its trial's A, B, s and mask.

    Gradients of A and B go into the plan's groups, not through autograd: factors are not leaves of its graph.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, anchor: torch.Tensor, kind: Kind, place: int, plan: Plan
    ) -> torch.Tensor:
        x = x.contiguous()
        y, kept = kind.forward(x)
        downs = []
        for run in plan.runs_at(place):
            if run.spots is not None:
                downs.append(_add_fused(y, x, run, place, plan))
                continue
            views = run.views(place)
            down = run.multiply(_select_input(x, run, place, plan), views.a_turned)  # (…, tokens, rank)
            run.add_product(_view_run(y, run, plan), down, views.b)
            downs.append(down)
        ctx.kind, ctx.place, ctx.plan, ctx.kept = kind, place, plan, kept
        ctx.save_for_backward(*([x, *downs] if downs else []))  # without adapters the input is not needed
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        place, plan, g = ctx.place, ctx.plan, grads[0].contiguous()
        runs = plan.runs_at(place)
        # first, as with checkpointing this runs the block again, which leaves the weight that is needed next
        x, *downs = ctx.saved_tensors if runs else (grads[0],)
        gx = ctx.kind.backward(g, ctx.kept) if ctx.needs_input_grad[0] else None
        for run, down in zip(runs, downs, strict=True):
            if run.spots is not None:
                _learn_fused(gx, g, (x, down), run, place, plan)
                continue
            views, g_run = run.views(place), _view_run(g, run, plan)
            up = run.multiply(g_run, views.b_turned)  # (…, tokens, rank)
            if not run.drops or run.group.path.dropout:
                run.learn(place, (up, _select_input(x, run, place, plan)), (down, g_run))
                if gx is not None:
                    _add_to_input(gx, up, views.a, run, place, plan)
                continue
            mask = _mask(x, run, place, plan)
            run.learn(place, (up, _view_run(x, run, plan) * mask), (down, g_run))
            if gx is not None:
                _view_run(gx, run, plan).add_(run.multiply(up, views.a).mul_(mask))
        return gx, None, None, None, None


def _view_run(x: torch.Tensor, run: Run, plan: Plan) -> torch.Tensor:
    """A view of the run's part of ``x`` as (trials, tokens of a trial, channels), or (tokens, channels) where
    trials have different numbers of tokens.

    ``x`` is (rows, tokens, channels), or has all tokens in one dimension; for a single trial its shape does
    not matter.
    """
    shape = (run.count, -1, x.shape[-1]) if run.even else (-1, x.shape[-1])
    if run.rows.stop - run.rows.start == plan.rows:
        return x.view(shape)
    return x.view(plan.rows, -1, x.shape[-1])[run.rows].view(shape)


def _add_fused(y: torch.Tensor, x: torch.Tensor, run: Run, place: int, plan: Plan) -> torch.Tensor:
    """Add the adapters' output to the run's part of ``y`` by fused products. Returns (tokens, rank)."""
    views, location = run.views(place), _locate(x, run, place, plan)
    down: torch.Tensor = adapter_ops.shrink(_view_tokens(x, run, plan), views.a, *location, run.drops)
    adapter_ops.expand(_view_tokens(y, run, plan), down, views.b, *location, False)
    return down


def _learn_fused(
    gx: torch.Tensor | None, g: torch.Tensor, kept: tuple[torch.Tensor, ...], run: Run, place: int, plan: Plan
) -> None:
    """Compute the factors' gradients by fused products, and add the input's to the run's part of ``gx``;
    ``kept``: the layer's input and what ``_add_fused`` returned."""
    views, (x, down) = run.views(place), kept
    location, tokens = _locate(x, run, place, plan), _view_tokens(g, run, plan)
    up = adapter_ops.shrink(tokens, views.b, *location, False)
    run.learn_fused(place, (up, _view_tokens(x, run, plan)), (down, tokens), location)
    if gx is not None:
        adapter_ops.expand(_view_tokens(gx, run, plan), up, views.a, *location, run.drops)


def _view_tokens(x: torch.Tensor, run: Run, plan: Plan) -> torch.Tensor:
    """A view of the run's part of ``x`` as (tokens, channels)."""
    return _view_run(x, run, plan).view(-1, x.shape[-1])


def _locate(x: torch.Tensor, run: Run, place: int, plan: Plan) -> list[Any]:
    """Where the run's tokens belong, as the operators of ``adapter_ops`` take it."""
    assert run.spots is not None
    tokens = x.numel() // x.shape[-1]
    if plan.scatters(x):
        return [*run.spots.first, place, tokens]
    return [*run.spots, place, tokens // plan.rows]


def _select_input(x: torch.Tensor, run: Run, place: int, plan: Plan) -> torch.Tensor:
    """The input of the run's adapters: its part of the layer's input, after dropout."""
    tokens = _view_run(x, run, plan)
    if not run.drops:
        return tokens
    if not run.group.path.dropout:
        return tokens * _mask(x, run, place, plan)
    words, length = _make_words(x, run, plan)
    return dropout_loss_ops.drop(tokens.view(-1, x.shape[-1]), *words, place, length).view(tokens.shape)


def _add_to_input(
    gx: torch.Tensor, up: torch.Tensor, a: torch.Tensor, run: Run, place: int, plan: Plan
) -> None:
    """Add the adapters' gradient of the input, after dropout, to the run's part of ``gx``."""
    total = _view_run(gx, run, plan)
    if not run.drops:
        run.add_product(total, up, a)
        return
    words, length = _make_words(gx, run, plan)
    product = run.multiply(up, a).view(-1, gx.shape[-1])
    dropout_loss_ops.add_dropped(total.view(-1, gx.shape[-1]), product, *words, place, length)


def _make_words(x: torch.Tensor, run: Run, plan: Plan) -> tuple[Words, int]:
    """The dropout words of the run's rows, and their length in tokens. Tokens that a layer sees without their
    rows count as one row."""
    tokens = x.numel() // x.shape[-1]
    rows, length = (slice(1), tokens) if plan.scatters(x) else (run.rows, tokens // plan.rows)
    keys, thresholds, scales, starts = plan.words
    return (keys[rows], thresholds[rows], scales[rows], starts[rows]), length


def _mask(x: torch.Tensor, run: Run, place: int, plan: Plan) -> torch.Tensor:
    """The run's dropout mask."""
    assert not plan.padding_free  # where the positions of rows begin at 0
    (keys, thresholds, *_), length = _make_words(x, run, plan)
    if plan.scatters(x):
        mask = counter_dropout.mask(keys, thresholds, place, length, x.shape[-1], x.dtype)
    else:
        mask = plan.rows_of(run).mask(place, length, x.shape[-1], x.dtype)
    return mask.view(run.count, -1, x.shape[-1])
