"""Triton kernels for the layers of a frozen base: RMS norm, SwiGLU and rotary embedding;
``core.train.kernels.layer_ops`` and ``core.train.kernels.rotary_ops`` say what they compute.

Imported only where Triton is installed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

ELEMENTS = 1024  # of a program that works element by element


@triton.jit
def norm_kernel(x, weight, out, rates, width, epsilon, BLOCK: tl.constexpr) -> None:
    """Root mean square norm of a row of (tokens, width); ``rates`` are the inverse roots, float32."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    value = tl.load(x + row * width + at, mask=at < width, other=0.0)
    wide = value.to(tl.float32)
    rate = tl.rsqrt(tl.sum(wide * wide, 0) / width + epsilon)
    normed = (wide * rate).to(value.dtype).to(tl.float32)  # rounded where transformers rounds
    scale = tl.load(weight + at, mask=at < width, other=0.0).to(tl.float32)
    tl.store(out + row * width + at, (normed * scale).to(value.dtype), mask=at < width)
    tl.store(rates + row, rate)


@triton.jit
def norm_backward_kernel(grad, x, weight, rates, out, width, BLOCK: tl.constexpr) -> None:
    """The gradient of the norm's input; its weight is frozen."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    value = tl.load(x + row * width + at, mask=at < width, other=0.0)
    rate = tl.load(rates + row)
    normed = value.to(tl.float32) * rate
    scale = tl.load(weight + at, mask=at < width, other=0.0).to(tl.float32)
    up = tl.load(grad + row * width + at, mask=at < width, other=0.0).to(tl.float32) * scale
    down = rate * (up - normed * (tl.sum(up * normed, 0) / width))
    tl.store(out + row * width + at, down.to(value.dtype), mask=at < width)


@triton.jit
def swiglu_kernel(gate, up, out, count, BLOCK: tl.constexpr) -> None:
    """out = silu(gate) ∘ up, of ``count`` elements."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(gate + at, mask=at < count, other=0.0)
    wide = value.to(tl.float32)
    active = (wide / (1.0 + tl.exp(-wide))).to(value.dtype).to(tl.float32)
    other = tl.load(up + at, mask=at < count, other=0.0).to(tl.float32)
    tl.store(out + at, (active * other).to(value.dtype), mask=at < count)


@triton.jit
def swiglu_backward_kernel(grad, gate, up, gate_grad, up_grad, count, BLOCK: tl.constexpr) -> None:
    """The gradients of ``gate`` and ``up``."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(gate + at, mask=at < count, other=0.0)
    wide = value.to(tl.float32)
    other = tl.load(up + at, mask=at < count, other=0.0).to(tl.float32)
    above = tl.load(grad + at, mask=at < count, other=0.0).to(tl.float32)
    share = 1.0 / (1.0 + tl.exp(-wide))
    active = wide * share
    tl.store(up_grad + at, (above * active).to(value.dtype), mask=at < count)
    slope = share * (1.0 + wide * (1.0 - share))
    tl.store(gate_grad + at, (above * other * slope).to(value.dtype), mask=at < count)


def norm(
    x: torch.Tensor, weight: torch.Tensor, epsilon: float, out: torch.Tensor, rates: torch.Tensor
) -> None:
    """Launch ``norm_kernel`` for (tokens, width)."""
    tokens, width = x.shape
    block = triton.next_power_of_2(width)
    norm_kernel[(tokens,)](x, weight, out, rates, width, epsilon, BLOCK=block, num_warps=_warps(block))


def norm_backward(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, rates: torch.Tensor, out: torch.Tensor
) -> None:
    """Launch ``norm_backward_kernel`` for (tokens, width)."""
    tokens, width = x.shape
    block = triton.next_power_of_2(width)
    norm_backward_kernel[(tokens,)](
        grad, x, weight, rates, out, width, BLOCK=block, num_warps=_warps(block)
    )  # fmt: skip


def _warps(block: int) -> int:
    return min(16, max(1, block // 256))


def swiglu(gate: torch.Tensor, up: torch.Tensor, out: torch.Tensor) -> None:
    """Launch ``swiglu_kernel`` for contiguous tensors."""
    grid = (triton.cdiv(gate.numel(), ELEMENTS),)
    swiglu_kernel[grid](gate, up, out, gate.numel(), BLOCK=ELEMENTS)


def swiglu_backward(
    grad: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, gate_grad: torch.Tensor, up_grad: torch.Tensor
) -> None:
    """Launch ``swiglu_backward_kernel`` for contiguous tensors."""
    grid = (triton.cdiv(gate.numel(), ELEMENTS),)
    swiglu_backward_kernel[grid](grad, gate, up, gate_grad, up_grad, gate.numel(), BLOCK=ELEMENTS)


@triton.jit
def _round(value, like):
    """``value`` with the precision of ``like``."""
    return value.to(like.dtype).to(tl.float32)


@triton.jit
def _rotate(
    x, cosines, sines, out, token, angle, heads, width, BACKWARD: tl.constexpr, HEADS: tl.constexpr,
    HALF: tl.constexpr,
):  # fmt: skip
    """Rotary embedding of all heads of a token of (tokens, heads, width), or its gradient."""
    head, at, half = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :], width // 2
    inside = (head < heads) & (at < half)
    first = token * heads * width + head * width + at
    a = tl.load(x + first, mask=inside, other=0.0)
    b = tl.load(x + first + half, mask=inside, other=0.0)
    place = angle * width + at
    cos_low = tl.load(cosines + place, mask=at < half, other=0.0).to(tl.float32)
    cos_high = tl.load(cosines + place + half, mask=at < half, other=0.0).to(tl.float32)
    sin_low = tl.load(sines + place, mask=at < half, other=0.0).to(tl.float32)
    sin_high = tl.load(sines + place + half, mask=at < half, other=0.0).to(tl.float32)
    low, high = a.to(tl.float32), b.to(tl.float32)
    if BACKWARD:
        left = low * cos_low + high * sin_high
        right = high * cos_high - low * sin_low
    else:  # each product rounded, as that of two tensors is
        left = _round(low * cos_low, a) - _round(high * sin_low, a)
        right = _round(high * cos_high, a) + _round(low * sin_high, a)
    tl.store(out + first, left.to(a.dtype), mask=inside)
    tl.store(out + first + half, right.to(a.dtype), mask=inside)


@triton.jit(do_not_specialize=["angles"])  # the number of angles is that of a row's tokens, or of all tokens
def rotary_kernel(
    q, k, cosines, sines, q_out, k_out, angles, q_heads, k_heads, width, BACKWARD: tl.constexpr,
    Q_HEADS: tl.constexpr, K_HEADS: tl.constexpr, HALF: tl.constexpr,
) -> None:  # fmt: skip
    """Both for a token: its queries in one program, its keys in another."""
    token = tl.program_id(0).to(tl.int64)
    angle = token % angles
    if tl.program_id(1) == 0:
        _rotate(q, cosines, sines, q_out, token, angle, q_heads, width, BACKWARD, Q_HEADS, HALF)
    else:
        _rotate(k, cosines, sines, k_out, token, angle, k_heads, width, BACKWARD, K_HEADS, HALF)


def rotate(
    q: torch.Tensor, k: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor, backward: bool,
    q_out: torch.Tensor, k_out: torch.Tensor,
) -> None:  # fmt: skip
    """Launch ``rotary_kernel`` for (tokens, heads, width) and angles (tokens of a row, or of all, width)."""
    tokens, heads, width = q.shape
    half, q_heads, k_heads = (triton.next_power_of_2(size) for size in (width // 2, heads, k.shape[1]))
    rotary_kernel[(tokens, 2)](
        q, k, cosines, sines, q_out, k_out, len(cosines), heads, k.shape[1], width, BACKWARD=backward,
        Q_HEADS=q_heads, K_HEADS=k_heads, HALF=half, num_warps=min(8, max(1, q_heads * half // 256)),
    )  # fmt: skip
