"""The learning-rate schedule of a trial, as a pure function."""

from __future__ import annotations

import math


def compute_factor(scheduler: str, warmup: float, step: int, total: int) -> float:
    """The factor of the peak learning rate in ``step`` (0 is the first) of ``total``.

    It rises linearly from 0 over the first ``warmup`` share of the steps, then stays constant, falls linearly
    to 0, or falls along half a cosine to 0, like transformers' schedules. Theirs give a training of one step
    the rate 0, which trains nothing; here it gets the peak rate.
    """
    climbing = math.ceil(warmup * total) if total > 1 else 0
    if step < climbing:
        return step / climbing
    if scheduler == "constant":
        return 1.0
    share_done = (step - climbing) / max(1, total - climbing)
    if scheduler == "linear":
        return max(0.0, 1.0 - share_done)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * share_done)))
