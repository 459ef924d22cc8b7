"""Distributes the rows of a round over passes of the base with little padding. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# Fixed cost of a pass in tokens: reading the weights on a CPU, launching kernels on a GPU, where a worker
# measures it and begins with this one.
CPU_OVERHEAD = 12
LAUNCH_S, RATE = 0.045, 3e14  # an eager pass of a small model on a fast card, and its FLOP/s
CHUNK_BYTES = {"cpu": 48 * 2**20, "cuda": 512 * 2**20}  # of float32 logits that the loss computes at once
MOST = 1 << 16  # tokens of a pass, unless something else limits it
BLOCK = 32  # tokens; a row of a padding-free batch is padded to whole blocks
GAIN = 0.1  # share of the cost that padding-free batches must save: they take other kernels


def count_overhead(device: str, parameters: int) -> int:
    """The fixed cost of a pass, in tokens, for a base with ``parameters`` on cpu or cuda."""
    if device == "cpu":
        return CPU_OVERHEAD
    return max(64, int(LAUNCH_S * RATE / (4 * max(1, parameters))))


def share_out(lengths: Sequence[int], overhead: int, most: int = MOST) -> list[list[int]]:
    """Indices of rows for each pass, at the least cost.

    A pass costs ``overhead`` plus its rows times its longest row, in tokens, and holds at most ``most``
    tokens (a single row always fits). Rows of similar length share a pass; dynamic programming over the
    distinct lengths finds where to cut. Equal lengths give equal passes, whatever else changes.
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    steps = _list_steps([lengths[index] for index in order], most)
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost of the first n steps, and where the last pass begins
    for end in range(1, len(steps) + 1):
        longest = max(1, lengths[order[steps[end - 1][1] - 1]])
        choices = []
        for begin in range(end):
            rows = steps[end - 1][1] - steps[begin][0]
            if rows * longest <= most or begin == end - 1:
                choices.append((best[begin][0] + overhead + rows * longest, begin))
        best.append(min(choices))
    passes: list[list[int]] = []
    end = len(steps)
    while end:
        begin = best[end][1]
        passes.append(sorted(order[steps[begin][0] : steps[end - 1][1]]))
        end = begin
    return passes[::-1]


def _list_steps(ascending: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Ranges of equal length, none above ``most`` tokens; a pass takes a range completely or not at all."""
    steps: list[tuple[int, int]] = []
    begin = 0
    for at in range(1, len(ascending) + 1):
        full = (at - begin) * ascending[begin] + ascending[begin] > most
        if at == len(ascending) or ascending[at] != ascending[begin] or full:
            steps.append((begin, at))
            begin = at
    return steps


def round_to_blocks(tokens: int) -> int:
    """Tokens of a row in a padding-free batch."""
    return -(-tokens // BLOCK) * BLOCK


def plan_padding_free(
    lengths: Sequence[int], padded: Sequence[Sequence[int]], overhead: int
) -> list[list[int]]:
    """Indices of rows for each padding-free batch, if these cost clearly less than the ``padded`` passes of
    ``share_out``; else none. No batch holds more tokens than the largest of those passes, so that memory is
    as estimated."""
    sizes = [len(rows) * max(lengths[row] for row in rows) for rows in padded]
    blocks = [round_to_blocks(length) for length in lengths]
    most = max(sizes, default=0)
    if max(blocks, default=0) > most:
        return []
    batches: list[list[int]] = []
    room = 0
    for row, tokens in enumerate(blocks):
        if tokens > room:
            batches.append([])
            room = most
        batches[-1].append(row)
        room -= tokens
    cost = overhead * len(batches) + sum(blocks)
    return batches if cost <= (1 - GAIN) * (overhead * len(sizes) + sum(sizes)) else []
