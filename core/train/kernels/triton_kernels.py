"""Triton kernels for CUDA: dropout, cross-entropy, RMS norm, SwiGLU and rotary embedding.

Each does in one launch, and without intermediate tensors, what takes dozens of PyTorch operations. They are
imported only where Triton is installed; ``core.train.kernels.dropout_loss_ops`` says what they compute.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from core.train.kernels import counter_dropout

CHANNELS, POSITIONS = tl.constexpr(counter_dropout.CHANNELS), tl.constexpr(counter_dropout.POSITIONS)
FIRST, SECOND = tl.constexpr(counter_dropout.FIRST), tl.constexpr(counter_dropout.SECOND)
TOKENS, WIDTH = 8, 256  # the tile of a dropout program: tokens × channels
ELEMENTS = 1024  # of a program that works element by element
VOCABULARY = 8192  # logits that a loss program holds at once
WARPS = 16


@triton.jit
def _mix(word):
    """counter_dropout._mix, of uint32."""
    word = word ^ (word >> 16)
    word = word * FIRST
    word = word ^ (word >> 15)
    word = word * SECOND
    return word ^ (word >> 16)


@triton.jit
def make_masks(keys, thresholds, scales, starts, layer, token, channel, live, length):
    """0 or 1 / (1 - p) for each of (token, channel), float32."""
    row = token // length
    position = (tl.load(starts + row, mask=live, other=0) + token % length).to(tl.uint32)
    key = tl.load(keys + row, mask=live, other=0).to(tl.uint32, bitcast=True)
    threshold = tl.load(thresholds + row, mask=live, other=0)
    scale = tl.load(scales + row, mask=live, other=0).to(tl.float32)
    spot = _mix(key ^ layer.to(tl.uint32, bitcast=True))
    spot = _mix(spot ^ _mix((position + 1) * POSITIONS))
    word = spot[:, None] ^ _mix((channel.to(tl.uint32) + 1) * CHANNELS)[None, :]
    word = word * FIRST
    word = word ^ (word >> 15)
    word = word * SECOND
    return tl.where(word.to(tl.int32, bitcast=True) >= threshold[:, None], scale[:, None], 0.0)


@triton.jit(do_not_specialize=["layer", "tokens", "length"])  # compiled once for all layers and batches
def dropout_kernel(
    x, out, keys, thresholds, scales, starts, layer, tokens, length, channels,
    ADD: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr,
) -> None:  # fmt: skip
    """out = x ∘ mask, or out += x ∘ mask. ``x`` and ``out`` are (tokens, channels), contiguous."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    live = token < tokens
    inside = live[:, None] & (channel < channels)[None, :]
    at = token.to(tl.int64)[:, None] * channels + channel[None, :]
    mask = make_masks(keys, thresholds, scales, starts, layer, token, channel, live, length)
    value = tl.load(x + at, mask=inside, other=0.0)
    product = (value.to(tl.float32) * mask).to(value.dtype)  # rounded as the product of two tensors is
    if ADD:
        before = tl.load(out + at, mask=inside, other=0.0)
        product = (before.to(tl.float32) + product.to(tl.float32)).to(value.dtype)
    tl.store(out + at, product, mask=inside)


@triton.jit
def _bounded(value, scale, cap, CAPPED: tl.constexpr):
    """The logit, and its derivative by the output of the layer."""
    value = value * scale
    slope = scale
    if CAPPED:
        ratio = value / cap
        # tanh by the exponential of a number below 0, which cannot overflow
        small = tl.exp(-2.0 * tl.abs(ratio))
        bounded = (1.0 - small) / (1.0 + small)
        bounded = tl.where(ratio < 0, -bounded, bounded)
        value = bounded * cap
        slope = scale * (1.0 - bounded * bounded)
    return value, slope


@triton.jit
def loss_kernel(
    logits, targets, losses, firsts, vocabulary, scale, cap,
    GRAD: tl.constexpr, CAPPED: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """A token's cross-entropy, and either its gradient in place of the logits or the first choice."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * vocabulary
    target = tl.load(targets + row)
    top = -float("inf")
    total = 0.0
    first = target * 0
    for begin in range(0, vocabulary, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        value = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(tl.float32)
        value, _ = _bounded(value, scale, cap, CAPPED)
        value = tl.where(at < vocabulary, value, -float("inf"))
        highest = tl.max(value, 0)
        if not GRAD:
            first = tl.where(highest > top, begin + tl.argmax(value, 0), first)
        above = tl.maximum(top, highest)
        total = total * tl.exp(top - above) + tl.sum(tl.exp(value - above), 0)
        top = above
    wanted, _ = _bounded(tl.load(logits + target).to(tl.float32), scale, cap, CAPPED)
    tl.store(losses + row, tl.log(total) + top - wanted)
    if GRAD:
        tl.debug_barrier()  # another thread of the program may still read the target's logit
        for begin in range(0, vocabulary, BLOCK):
            at = begin + tl.arange(0, BLOCK)
            before = tl.load(logits + at, mask=at < vocabulary, other=0.0)
            value, slope = _bounded(before.to(tl.float32), scale, cap, CAPPED)
            share = tl.exp(value - top) / total - tl.where(at == target, 1.0, 0.0)
            tl.store(logits + at, (share * slope).to(before.dtype), mask=at < vocabulary)
    else:
        tl.store(firsts + row, first)


def drop(
    add: bool, x: torch.Tensor, out: torch.Tensor, keys: torch.Tensor, thresholds: torch.Tensor,
    scales: torch.Tensor, starts: torch.Tensor, place: int, length: int,
) -> None:  # fmt: skip
    """Launch ``dropout_kernel`` for (tokens, channels)."""
    tokens, channels = x.shape
    dropout_kernel[(triton.cdiv(tokens, TOKENS), triton.cdiv(channels, WIDTH))](
        x, out, keys, thresholds, scales, starts, counter_dropout.find_layer_word(place), tokens, length,
        channels,
        ADD=add, TOKENS=TOKENS, WIDTH=WIDTH,
    )  # fmt: skip


def loss(
    logits: torch.Tensor, targets: torch.Tensor, losses: torch.Tensor, firsts: torch.Tensor | None,
    scale: float, cap: float,
) -> None:  # fmt: skip
    """Launch ``loss_kernel``: with ``firsts`` for the first choices, without it for the gradient."""
    loss_kernel[(len(targets),)](
        logits, targets, losses, targets if firsts is None else firsts, logits.shape[1], scale, cap or 1.0,
        GRAD=firsts is None, CAPPED=cap > 0, BLOCK=VOCABULARY, num_warps=WARPS,
    )  # fmt: skip


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
