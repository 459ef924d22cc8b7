"""Triton kernels for the products with the trials' factors; ``core.train.kernels.adapter_ops`` says what they
compute. Imported only where Triton is installed.

A program takes tokens of a single row, so that it needs the factors of one trial.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from core.train.kernels.adapter_ops import Spots
from core.train.kernels.counter_dropout import find_layer_word
from core.train.kernels.dropout_loss_kernels import make_masks

TOKENS = 32  # of a tile; tensor cores take at least 16
LEAST = 16  # ranks of a tile
VARIES = ["layer", "tokens", "length"]  # compiled once for all layers and batches


@triton.jit
def _dropped(
    value, keys, thresholds, scales, starts, layer, token, channel, live, length, DROPS: tl.constexpr
):
    """The tokens after dropout, rounded as the product of two tensors is."""
    if DROPS:
        mask = make_masks(keys, thresholds, scales, starts, layer, token, channel, live, length)
        value = (value.to(tl.float32) * mask).to(value.dtype)
    return value


@triton.jit(do_not_specialize=VARIES)
def shrink_kernel(
    x, factors, out, slots, keys, thresholds, scales, starts, layer, tokens, length, channels, rank,
    slot_step, rank_step, DROPS: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr,
) -> None:  # fmt: skip
    """out (tokens, rank) = (x ∘ mask) factorsᵀ."""
    row = tl.program_id(0)
    at = tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)
    token = row * length + at
    live = (at < length) & (token < tokens)
    ranks = tl.arange(0, RANKS)
    factors += tl.load(slots + row).to(tl.int64) * slot_step
    total = tl.zeros((TOKENS, RANKS), tl.float32)
    for begin in range(0, channels, WIDTH):
        channel = begin + tl.arange(0, WIDTH)
        inside = channel < channels
        places = token.to(tl.int64)[:, None] * channels + channel[None, :]
        value = tl.load(x + places, mask=live[:, None] & inside[None, :], other=0.0)
        value = _dropped(value, keys, thresholds, scales, starts, layer, token, channel, live, length, DROPS)
        factor_places = factors + ranks.to(tl.int64)[None, :] * rank_step + channel[:, None]  # turned
        factor = tl.load(factor_places, mask=(ranks < rank)[None, :] & inside[:, None], other=0.0)
        total = tl.dot(value, factor, total, input_precision="ieee")
    places = token.to(tl.int64)[:, None] * rank + ranks[None, :]
    tl.store(out + places, total.to(out.dtype.element_ty), mask=live[:, None] & (ranks < rank)[None, :])


@triton.jit(do_not_specialize=VARIES)
def expand_kernel(
    total, down, factors, slots, keys, thresholds, scales, starts, layer, tokens, length, channels, rank,
    slot_step, rank_step, DROPS: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr, RANKS: tl.constexpr,
) -> None:  # fmt: skip
    """total (tokens, channels) += (down factors) ∘ mask."""
    blocks = tl.cdiv(length, TOKENS)
    row = tl.program_id(0) // blocks
    at = tl.program_id(0) % blocks * TOKENS + tl.arange(0, TOKENS)
    token = row * length + at
    live = (at < length) & (token < tokens)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = channel < channels
    ranks = tl.arange(0, RANKS)
    has_rank = ranks < rank
    places = token.to(tl.int64)[:, None] * rank + ranks[None, :]
    value = tl.load(down + places, mask=live[:, None] & has_rank[None, :], other=0.0)
    factors += tl.load(slots + row).to(tl.int64) * slot_step
    factor_places = factors + ranks.to(tl.int64)[:, None] * rank_step + channel[None, :]
    factor = tl.load(factor_places, mask=has_rank[:, None] & inside[None, :], other=0.0)
    product = tl.dot(value, factor, input_precision="ieee").to(value.dtype)
    product = _dropped(product, keys, thresholds, scales, starts, layer, token, channel, live, length, DROPS)
    output_places = total + token.to(tl.int64)[:, None] * channels + channel[None, :]
    both = live[:, None] & inside[None, :]
    before = tl.load(output_places, mask=both, other=0.0)
    tl.store(output_places, (before.to(tl.float32) + product.to(tl.float32)).to(before.dtype), mask=both)


@triton.jit(do_not_specialize=VARIES)
def learn_kernel(
    grad, down, x, ends, keys, thresholds, scales, starts, layer, tokens, length, channels, rank, slot_step,
    rank_step, ADD: tl.constexpr, DROPS: tl.constexpr, TOKENS: tl.constexpr, WIDTH: tl.constexpr,
    RANKS: tl.constexpr,
) -> None:  # fmt: skip
    """grad (slots, rank, channels) = downᵀ (x ∘ mask) of each slot's tokens, or += that."""
    slot = tl.program_id(0)
    first = tl.load(ends + slot - 1, mask=slot > 0, other=0) * length
    end = tl.minimum(tl.load(ends + slot) * length, tokens)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = channel < channels
    ranks = tl.arange(0, RANKS)
    has_rank = ranks < rank
    total = tl.zeros((RANKS, WIDTH), tl.float32)
    for begin in range(first, end, TOKENS):
        token = begin + tl.arange(0, TOKENS)
        live = token < end
        turned = token.to(tl.int64)[None, :] * rank + ranks[:, None]
        left = tl.load(down + turned, mask=live[None, :] & has_rank[:, None], other=0.0)
        places = token.to(tl.int64)[:, None] * channels + channel[None, :]
        value = tl.load(x + places, mask=live[:, None] & inside[None, :], other=0.0)
        value = _dropped(value, keys, thresholds, scales, starts, layer, token, channel, live, length, DROPS)
        total = tl.dot(left, value, total, input_precision="ieee")
    grad_places = (
        grad + slot.to(tl.int64) * slot_step + ranks.to(tl.int64)[:, None] * rank_step + channel[None, :]
    )
    both = has_rank[:, None] & inside[None, :]
    if ADD:
        total += tl.load(grad_places, mask=both, other=0.0).to(tl.float32)
    tl.store(grad_places, total.to(grad.dtype.element_ty), mask=both)


def tile(rank: int, element_bytes: int) -> dict[str, int]:
    """The sizes of a tile that fits the registers: with large ranks and wide elements fewer channels at once,
    and more warps."""
    ranks = max(LEAST, triton.next_power_of_2(rank))
    rank_bytes = ranks * element_bytes
    width = 64 if rank_bytes <= 128 else 32 if rank_bytes <= 256 else 16
    return {"TOKENS": TOKENS, "WIDTH": width, "RANKS": ranks, "num_warps": 4 if rank_bytes <= 32 else 8}


def shrink(
    x: torch.Tensor, factors: torch.Tensor, out: torch.Tensor, spots: Spots, place: int, length: int,
    drops: bool,
) -> None:  # fmt: skip
    """Launch ``shrink_kernel``."""
    tokens, channels = x.shape
    shrink_kernel[(len(spots.slots), triton.cdiv(length, TOKENS))](
        x, factors, out, spots.slots, *spots[2:], find_layer_word(place), tokens, length, channels,
        factors.shape[1], *factors.stride()[:2], DROPS=drops, **tile(factors.shape[1], x.element_size()),
    )  # fmt: skip


def expand(
    total: torch.Tensor, down: torch.Tensor, factors: torch.Tensor, spots: Spots, place: int, length: int,
    drops: bool,
) -> None:  # fmt: skip
    """Launch ``expand_kernel``."""
    tokens, channels = total.shape
    sizes = tile(factors.shape[1], total.element_size())
    rows = len(spots.slots) * triton.cdiv(length, TOKENS)
    expand_kernel[(rows, triton.cdiv(channels, sizes["WIDTH"]))](
        total, down, factors, spots.slots, *spots[2:], find_layer_word(place), tokens, length, channels,
        factors.shape[1], *factors.stride()[:2], DROPS=drops, **sizes,
    )  # fmt: skip


def learn(
    grad: torch.Tensor, down: torch.Tensor, x: torch.Tensor, spots: Spots, place: int, length: int,
    drops: bool, add: bool,
) -> None:  # fmt: skip
    """Launch ``learn_kernel``."""
    tokens, channels = x.shape
    sizes = tile(grad.shape[1], x.element_size())
    learn_kernel[(grad.shape[0], triton.cdiv(channels, sizes["WIDTH"]))](
        grad, down, x, spots.ends, *spots[2:], find_layer_word(place), tokens, length, channels,
        grad.shape[1],
        *grad.stride()[:2], ADD=add, DROPS=drops, **sizes,
    )  # fmt: skip
