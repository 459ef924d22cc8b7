"""Tries the kernels of ``adapter_ops`` on a device: are they right, and not slower than PyTorch's operations?

No GPU was at hand when they were written, so a card decides by itself whether to use them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from core.train.kernels import adapter_ops, counter_dropout, dropout_loss_ops
from core.train.kernels.adapter_ops import Spots

PLACE, RANK = 3, 16
SMALL = (7, 160)  # tokens of a row and channels, to compare results
LARGE = (512, 2048)  # to compare times
COUNTS = (1, 2, 3)  # rows of each trial
REPEATS = 5
CLEARLY = 1.25  # times as long: a choice that changed at a restart would change bits


class SlowerError(RuntimeError):
    """A kernel takes longer than what it would replace."""


def do_adapters_pay(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether results are right. Raises SlowerError if they are, but separate operations are faster."""
    if not _do_results_agree(device, dtype):
        return False
    with torch.no_grad():
        inputs = make_inputs(device, dtype, *LARGE)
        fused, apart = (_measure_ms(partial, device) for partial in _make_rivals(inputs, LARGE[0]))
    if fused > CLEARLY * apart:
        raise SlowerError(f"{fused:.2f} ms, separate operations {apart:.2f} ms")
    return True


def make_inputs(
    device: torch.device, dtype: torch.dtype, length: int, channels: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Spots]:
    """Tokens, a tensor to add to, factors as strided views, and spots: random, the same on any device."""
    draw = torch.Generator().manual_seed(3)
    rows = sum(COUNTS)
    x, total = (torch.randn(rows * length, channels, generator=draw).to(device, dtype) for _ in range(2))
    wide = torch.randn(len(COUNTS), RANK, channels + 40, generator=draw).to(device, dtype)
    slots = [slot for slot, count in enumerate(COUNTS) for _ in range(count)]
    keys = torch.tensor([counter_dropout.make_row_key(3, 5, row) for row in range(rows)], dtype=torch.int32)
    chances = [(0.0, 0.1, 0.5)[row % 3] for row in range(rows)]
    thresholds = torch.tensor(
        [counter_dropout.compute_threshold(chance) for chance in chances], dtype=torch.int32
    )
    ends = torch.tensor(COUNTS, dtype=torch.int32).cumsum(0, dtype=torch.int32)
    scales = counter_dropout.compute_scales(thresholds, dtype)
    starts = torch.arange(0, 5 * rows, 5, dtype=torch.int32)  # as if rows were blocks
    tables = torch.tensor(slots, dtype=torch.int32), ends, keys, thresholds, scales, starts
    return x, total, wide[..., 8 : 8 + channels], Spots(*(table.to(device) for table in tables))


def compute(
    x: torch.Tensor, total: torch.Tensor, factors: torch.Tensor, spots: Spots, length: int
) -> list[torch.Tensor]:
    """What a layer computes with the three operators, with dropout and without."""
    results: list[torch.Tensor] = []
    for drops in (True, False):
        dropout_arguments = (*spots, PLACE, length, drops)
        down, added = adapter_ops.shrink(x, factors, *dropout_arguments), total.clone()
        adapter_ops.expand(added, down, factors, *dropout_arguments)
        grads = torch.full(factors.shape, 7.0, device=x.device)
        adapter_ops.learn(grads, down, x, *dropout_arguments, False)
        adapter_ops.learn(grads, down, x, *dropout_arguments, True)
        results += [down, added, grads]
    return results


def _do_results_agree(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the device computes what PyTorch does on a CPU, from the same numbers in float32."""
    length, channels = SMALL
    x, total, factors, spots = make_inputs(torch.device("cpu"), dtype, length, channels)
    wide = spots._replace(scales=spots.scales.float())
    expected = compute(x.float(), total.float(), factors.float(), wide, length)
    results = compute(*make_inputs(device, dtype, length, channels), length)
    limit = 1e-4 if dtype == torch.float32 else 3e-2
    return all(
        float((result.cpu().float() - expected_tensor).abs().max())
        <= limit * float(expected_tensor.abs().max())
        for result, expected_tensor in zip(results, expected, strict=True)
    )


def _make_rivals(
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor, Spots], length: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A layer's products forward and backward by fused kernels, and by separate ones, one trial at a time."""
    x, total, factors, spots = inputs
    words = (spots.keys, spots.thresholds, spots.scales, spots.starts, PLACE, length)
    parts = [part * length for part in COUNTS]
    grads = torch.empty(factors.shape, device=x.device)

    def fuse() -> None:
        dropout_arguments = (*spots, PLACE, length)
        down = adapter_ops.shrink(x, factors, *dropout_arguments, True)
        adapter_ops.expand(total, down, factors, *dropout_arguments, False)
        adapter_ops.learn(grads, down, x, *dropout_arguments, True, False)

    def separate() -> None:
        dropped = dropout_loss_ops.drop(x, *words)
        for slot, (dropped_part, sums) in enumerate(
            zip(dropped.split(parts), total.split(parts), strict=True)
        ):
            down = dropped_part @ factors[slot].T
            sums.addmm_(down, factors[slot])
            grads[slot].copy_(down.T @ dropped_part)

    return fuse, separate


def _measure_ms(work: Callable[[], Any], device: torch.device) -> float:
    """The shortest of several runs; the first compiles."""
    work()
    times = []
    for _ in range(REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize(device)
        times.append(begin.elapsed_time(end))
    return float(min(times))
