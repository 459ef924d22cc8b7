"""Rotary position embedding of queries and keys, one CUDA kernel each way instead of a dozen.

``trimtab::rotary`` rounds where transformers' function rounds; its gradient is rounded once. On a CPU it runs
PyTorch's operations, for tests.
"""

from __future__ import annotations

from typing import Any

import torch

_LIBRARY = torch.library.Library("trimtab", "FRAGMENT")
_LIBRARY.define("rotary(Tensor q, Tensor k, Tensor cosines, Tensor sines, bool backward) -> (Tensor, Tensor)")
_rotary: Any = torch.ops.trimtab.rotary.default

Pair = tuple[torch.Tensor, torch.Tensor]


class Rotary(torch.autograd.Function):
    """Rotates q and k, (rows, heads, tokens, width), by angles (rows or 1, tokens, width)."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
    ) -> Any:
        angles = [angle.contiguous().view(-1, angle.shape[-1]) for angle in (cosines, sines)]
        ctx.save_for_backward(*angles)
        return _apply(q, k, angles, backward=False)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return *_apply(grads[0], grads[1], ctx.saved_tensors, backward=True), None, None


def _apply(q: torch.Tensor, k: torch.Tensor, angles: Any, backward: bool) -> Pair:
    """Tokens come first in memory, as the layer that made q and k leaves them."""
    turned = [x.transpose(1, 2).contiguous() for x in (q, k)]
    flat = [x.view(-1, *x.shape[2:]) for x in turned]
    outs = _rotary(*flat, *angles, backward)
    q_out, k_out = (out.view(x.shape).transpose(1, 2) for out, x in zip(outs, turned, strict=True))
    return q_out, k_out


def _cuda(
    q: torch.Tensor, k: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, backward: bool
) -> Pair:
    """``q`` and ``k`` (tokens, heads, width); angles (tokens of a row or of all rows, width)."""
    from core.train.kernels import layer_kernels

    outs = torch.empty_like(q), torch.empty_like(k)
    layer_kernels.rotate(q, k, cosines, sines, backward, *outs)
    return outs


def _cpu(
    q: torch.Tensor, k: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, backward: bool
) -> Pair:
    repeats = q.shape[0] // cosines.shape[0]
    cos, sin = (angle.repeat(repeats, 1)[:, None] for angle in (cosines, sines))
    turn = _turn_back if backward else _turn
    return turn(q, cos, sin), turn(k, cos, sin)


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat((-high, low), -1) * sin


def _turn_back(grad: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    wide = grad.float()
    low, high = (wide * sin.float()).chunk(2, -1)
    return (wide * cos.float() + torch.cat((high, -low), -1)).to(grad.dtype)


_LIBRARY.impl("rotary", _cuda, "CUDA")
_LIBRARY.impl("rotary", _cpu, "CPU")
_LIBRARY.impl("rotary", lambda q, k, *rest: (torch.empty_like(q), torch.empty_like(k)), "Meta")
