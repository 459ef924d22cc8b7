"""The losses of a row's target tokens, and which of them were the model's first choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Reading:
    """For each target token of a row: its loss in nats, and whether it was the model's first choice (1 or
    0). ``state``: the residual stream (float32) at the token before the first target, if it was asked for."""

    losses: list[float]
    firsts: list[float]
    state: bytes = b""

    @property
    def loss(self) -> float:
        """The summed loss, nats."""
        return sum(self.losses)

    @property
    def tokens(self) -> int:
        """The number of target tokens."""
        return len(self.losses)


def split_rows(values: torch.Tensor, counts: Sequence[int]) -> list[Reading]:
    """Split losses and firsts (2, K) of all rows into rows, by the number of targets of each."""
    columns = values.cpu().tolist()
    rows, at = [], 0
    for count in counts:
        rows.append(Reading(*(column[at : at + count] for column in columns)))
        at += count
    return rows
