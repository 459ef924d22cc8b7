"""Lets norms, feed-forward layers and rotary embeddings of a base compute in fused kernels.

A class is recognised by what it computes: the first layer of each is compared with the fused kernel, output
and gradient, on random input. A layer that computes something else keeps its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from core.contract.text.sanitize import sanitize
from core.train.base import fused_rotary
from core.train.kernels.layer_ops import RmsNorm, SwiGlu

ROWS = 3  # of the input that both are compared on
WIDEST = 16_384  # elements of a row that a kernel holds at once
CLOSE = {torch.float32: 1e-4}  # relative to the largest value; half precisions get ROUGH
ROUGH = 3e-2

Forward = Callable[[torch.Tensor], torch.Tensor]


def fuse(model: Any) -> list[str]:
    """Replace the forward of layers that fused kernels compute as well. Returns notes on what failed."""
    verdicts: dict[tuple[Any, ...], bool] = {}
    notes: dict[str, None] = {}
    for module in model.modules():
        fused_forward = _make_fused_forward(module)
        if fused_forward is None:
            continue
        forward, width = fused_forward
        key = type(module), width
        if key not in verdicts:
            try:
                verdicts[key] = _agrees(module, forward, (model.device, model.dtype), width)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                verdicts[key] = False
                fault = sanitize(str(error), 160)
                notes[f"{type(module).__name__} has no fused kernel, training is slower: {fault}"] = None
        if verdicts[key]:
            module.forward = forward
    limit = partial(_are_close, limit=CLOSE.get(model.dtype, ROUGH))
    return [*notes, *fused_rotary.fuse(model, limit)]


def are_fused(model: Any) -> bool:
    """Whether all layers that a fused kernel can compute do so, and there are any."""
    fusable = [module for module in model.modules() if _make_fused_forward(module) is not None]
    return bool(fusable) and all(_is_fused(module) for module in fusable)


def restore(model: Any) -> None:
    """Give all layers their own code back."""
    fused_rotary.restore(model)
    for module in model.modules():
        if _is_fused(module):
            del module.forward


def _is_fused(module: Any) -> bool:
    forward = vars(module).get("forward")
    return isinstance(forward, partial) and forward.func in (_compute_norm, _feed_forward)


def _make_fused_forward(module: Any) -> tuple[Forward, int] | None:
    """What would compute the layer, and the width of its input; None for other layers."""
    weight, epsilon = getattr(module, "weight", None), _find_epsilon(module)
    if epsilon is not None and weight is not None and weight.dim() == 1 and len(weight) <= WIDEST:
        return partial(_compute_norm, module, epsilon), len(weight)
    names = ("gate_proj", "up_proj", "down_proj", "act_fn")
    if all(hasattr(module, name) for name in names) and "silu" in type(module.act_fn).__name__.lower():
        first = module.gate_proj
        if not isinstance(first, torch.nn.Linear):
            return None
        return partial(_feed_forward, module), first.in_features
    return None


def _compute_norm(module: Any, epsilon: float, x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = RmsNorm.apply(x, module.weight, epsilon)
    return result


def _feed_forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = module.down_proj(SwiGlu.apply(module.gate_proj(x), module.up_proj(x)))
    return result


def _find_epsilon(module: Any) -> float | None:
    if "RMSNorm" not in type(module).__name__:
        return None
    value = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    return float(value) if isinstance(value, float) else None


def _agrees(module: Any, forward: Forward, kind: tuple[torch.device, torch.dtype], width: int) -> bool:
    """Whether output and input gradient are those of the layer's own code, for an input of ``kind``."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(1, ROWS, width, generator=draw).to(*kind)
    results = []
    for compute in (module.forward, forward):
        inputs = x.clone().requires_grad_()
        out = compute(inputs)
        (grad,) = torch.autograd.grad(out.float().square().sum(), inputs)
        results.append((out.detach(), grad))
    own, fused = results
    return _are_close(own, fused, CLOSE.get(kind[1], ROUGH))


def _are_close(own: Sequence[torch.Tensor], fused: Sequence[torch.Tensor], limit: float) -> bool:
    """Whether results have the same dtypes, and differ by at most ``limit`` of the largest value of each."""
    return all(
        own_tensor.dtype == fused_tensor.dtype
        and float((own_tensor.float() - fused_tensor.float()).abs().max())
        <= limit * float(own_tensor.float().abs().max())
        for own_tensor, fused_tensor in zip(own, fused, strict=True)
    )
