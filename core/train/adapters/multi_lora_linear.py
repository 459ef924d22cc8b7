"""A linear layer of the base model with the adapters of many trials, as one autograd function."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.nn import functional

from core.train.adapters import counter_dropout
from core.train.adapters.adapter_stack import Plan, Run, Stack
from core.train.base.linear_layers import Place

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
    """bitsandbytes' Linear4bit."""

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """(outputs, inputs), dequantised."""
        from bitsandbytes.functional import dequantize_4bit

        packed = self._module.weight
        return dequantize_4bit(packed.data, packed.quant_state).to(dtype)


class EightBit(Dense):
    """bitsandbytes' Linear8bitLt with only its weight quantised: LLM.int8 also rounds activations, depending
    on outliers in the entire batch, so that a trial would depend on its neighbours."""

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """(outputs, inputs), dequantised."""
        module = self._module
        scale = module.state.SCB if module.state.SCB is not None else module.weight.SCB
        return module.weight.data.to(dtype) * (scale / 127.0).to(dtype)[:, None]


def kind_of(module: Any) -> Kind:
    """Choose how to compute ``module`` with its frozen weight."""
    kinds: dict[str, type[Dense]] = {"Conv1D": Transposed, "Linear4bit": FourBit, "Linear8bitLt": EightBit}
    return kinds.get(type(module).__name__, Dense)(module)


class Gate:
    """Replaces a layer's forward; outside of a pass it calls the original."""

    def __init__(self, module: Any, place: Place, stack: Stack) -> None:
        self._own, self._kind, self._place, self._stack = module.forward, kind_of(module), place, stack
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
            views = run.views(place)
            down = torch.bmm(_select_input(x, run, place, plan), views.a_turned)  # (count, tokens, rank)
            _of(y, run, plan).baddbmm_(down, views.b)
            downs.append(down)
        ctx.kind, ctx.place, ctx.plan, ctx.kept = kind, place, plan, kept
        ctx.save_for_backward(*([x, *downs] if downs else []))  # without adapters the input is not needed
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        place, plan, g = ctx.place, ctx.plan, grads[0].contiguous()
        gx = ctx.kind.backward(g, ctx.kept) if ctx.needs_input_grad[0] else None
        runs = plan.runs_at(place)
        x, *downs = ctx.saved_tensors if runs else (grads[0],)
        for run, down in zip(runs, downs, strict=True):
            views, g_run = run.views(place), _of(g, run, plan)
            up = torch.bmm(g_run, views.b_turned)  # (count, tokens, rank)
            mask = _mask(x, run, place, plan) if run.drops else None
            seen = _of(x, run, plan) if mask is None else _of(x, run, plan) * mask
            run.learn(place, (up.transpose(1, 2), seen), (down.transpose(1, 2), g_run))
            if gx is None:
                continue
            if mask is None:
                _of(gx, run, plan).baddbmm_(up, views.a)
            else:
                _of(gx, run, plan).add_(torch.bmm(up, views.a).mul_(mask))
        return gx, None, None, None, None


def _of(x: torch.Tensor, run: Run, plan: Plan) -> torch.Tensor:
    """A view of the run's part of ``x`` as (trials, tokens of a trial, channels).

    ``x`` is (rows, tokens, channels), or has all tokens in one dimension; for a single trial its shape does
    not matter.
    """
    if run.rows.stop - run.rows.start == plan.rows:
        return x.view(run.count, -1, x.shape[-1])
    return x.view(plan.rows, -1, x.shape[-1])[run.rows].view(run.count, -1, x.shape[-1])


def _select_input(x: torch.Tensor, run: Run, place: int, plan: Plan) -> torch.Tensor:
    """The input of the run's adapters: its part of the layer's input, after dropout."""
    seen = _of(x, run, plan)
    return seen * _mask(x, run, place, plan) if run.drops else seen


def _mask(x: torch.Tensor, run: Run, place: int, plan: Plan) -> torch.Tensor:
    """The run's dropout mask. Tokens that a layer sees without their rows count as one row."""
    if plan.alone and x.shape[0] != plan.rows:
        keys, thresholds = plan.keys[:1], plan.thresholds[:1]
        length = x.numel() // x.shape[-1]
        mask = counter_dropout.mask(keys, thresholds, place, length, x.shape[-1], x.dtype)
    else:
        length = x.numel() // x.shape[-1] // plan.rows
        mask = plan.rows_of(run).mask(place, length, x.shape[-1], x.dtype)
    return mask.view(run.count, -1, x.shape[-1])
