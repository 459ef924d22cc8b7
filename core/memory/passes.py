"""How the rows of a round are shared out over passes of the base, so that little is padding. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 1 << 16  # tokens of a pass, where nothing else bounds it


def share_out(lengths: Sequence[int], overhead: int, most: int = MOST) -> list[list[int]]:
    """Indices of rows, pass by pass, of least cost: a pass costs ``overhead`` plus its rows times its longest
    row, in tokens, and holds at most ``most`` tokens (one row always goes).

    Neighbours in length share a pass; where to cut is found by dynamic programming over the lengths that
    occur. Equal lengths give equal passes, whatever else happens.
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    steps = _steps([lengths[index] for index in order], most)
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


def _steps(ascending: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Ranges of equal length, none above ``most`` tokens: what a pass takes whole or not at all."""
    steps: list[tuple[int, int]] = []
    begin = 0
    for at in range(1, len(ascending) + 1):
        full = (at - begin) * ascending[begin] + ascending[begin] > most
        if at == len(ascending) or ascending[at] != ascending[begin] or full:
            steps.append((begin, at))
            begin = at
    return steps
