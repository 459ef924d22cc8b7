"""Triton kernels for dropout and cross-entropy; ``core.train.kernels.dropout_loss_ops`` says what they
compute. Imported only where Triton is installed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from core.train.kernels import counter_dropout

CHANNELS, POSITIONS = tl.constexpr(counter_dropout.CHANNELS), tl.constexpr(counter_dropout.POSITIONS)
FIRST, SECOND = tl.constexpr(counter_dropout.FIRST), tl.constexpr(counter_dropout.SECOND)
TOKENS, WIDTH = 8, 256  # the tile of a dropout program: tokens × channels
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
