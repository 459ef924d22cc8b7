"""What a model gives to the target tokens of one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Reading:
    """Of each target token of a row: the loss in nats and whether it came first; ``means`` and ``deviations``
    of the next token's log-probability where they were asked for."""

    losses: list[float]
    firsts: list[float]
    means: list[float]
    deviations: list[float]

    @property
    def loss(self) -> float:
        """Nats, summed."""
        return sum(self.losses)

    @property
    def tokens(self) -> int:
        """Target tokens."""
        return len(self.losses)

    @property
    def logprobs(self) -> list[float]:
        """Of each target token, nats."""
        return [-one for one in self.losses]


def readings(found: torch.Tensor, counts: Sequence[int]) -> list[Reading]:
    """``found`` (2 or 4, K) of all rows in one, cut by how many targets each row has."""
    columns = found.cpu().tolist() + [[]] * (4 - len(found))
    cut, at = [], 0
    for count in counts:
        cut.append(Reading(*(column[at : at + count] for column in columns)))
        at += count
    return cut
