"""Where attention goes: how spread it is, how much of it rests on few tokens, and whether it collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.contract.board_score import Score
from core.evaluate.statistics.drift_test import paired

CHANGE = 0.1  # of the normalised entropy, or of the share on few tokens: a smaller one is no collapse
FEWEST = 4  # rows for an interval that is worth the word
QUERIES = 48  # of a row: enough for a mean, and a large model has a million weights for each
NARROW = 0.1  # a head of less normalised entropy looks at few tokens


class Heads(NamedTuple):
    """Of each head of a layer on one row: normalised entropy, share on the first token, share on special
    tokens after the first. Means over queries."""

    entropy: tuple[float, ...]
    first: tuple[float, ...]
    special: tuple[float, ...]


def chosen(length: int) -> list[int]:
    """The queries that are looked at in a row of ``length`` tokens: QUERIES of them at even distances, the
    last among them. The first sees itself alone, and says nothing."""
    count = min(QUERIES, length - 1)
    return [1 + (nth + 1) * (length - 1) // count - 1 for nth in range(count)]


def looked(weights: np.ndarray, queries: Sequence[int], special: Sequence[bool]) -> Heads:
    """What causal attention ``weights`` (heads, queries, T), each query's sum 1, say; ``queries`` are their
    places, none 0, among the T tokens, and ``special`` marks the special ones of these.

    A query's entropy −Σ p ln p, nats, is divided by ln of the tokens that it may see, so that 1 is uniform
    and 0 is one token alone. Sharp drops of it go with training that becomes unstable (Zhai et al. 2023,
    arXiv:2303.06296). The first token takes much attention in most models, for it must go somewhere: the
    attention sink (Xiao et al. 2023, arXiv:2309.17453); what is of interest is how that changes.
    """
    seen = np.asarray(weights, dtype=np.float64)
    logs = np.log(seen, where=seen > 0, out=np.zeros_like(seen))
    spread = -(seen * logs).sum(-1) / np.log(np.asarray(queries) + 1)
    marked = np.asarray(special, dtype=bool).copy()
    marked[0] = False
    found = (spread.mean(-1), seen[:, :, 0].mean(-1), seen[:, :, marked].sum(-1).mean(-1))
    return Heads(*(tuple(float(one) for one in column) for column in found))


@dataclass(frozen=True)
class Row:
    """One row in two numbers, means over all layers and heads: ``few`` is the share of attention on the first
    and on special tokens."""

    entropy: float
    few: float


def row_of(layers: Sequence[Heads]) -> Row:
    """Both numbers of a row, from all its layers."""
    entropy = [one for layer in layers for one in layer.entropy]
    few = [one + other for layer in layers for one, other in zip(layer.first, layer.special, strict=True)]
    return Row(float(np.mean(entropy)), float(np.mean(few)))


@dataclass(frozen=True)
class Change:
    """From the base to the trial on the same rows, with intervals over the rows."""

    entropy: Score
    few: Score

    @property
    def narrowed(self) -> bool:
        """Did the entropy fall by CHANGE or more, beyond its interval?"""
        value, high = self.entropy.value, self.entropy.high
        return value is not None and high is not None and value <= -CHANGE and high < 0

    @property
    def drawn(self) -> bool:
        """Did the share on few tokens rise by CHANGE or more, beyond its interval?"""
        value, low = self.few.value, self.few.low
        return value is not None and low is not None and value >= CHANGE and low > 0


def change(now: Sequence[Row], base: Sequence[Row]) -> Change:
    """Row by row, by the paired bootstrap; without a value below FEWEST rows."""
    if len(now) < FEWEST:
        none = Score.unsaid(f"fewer than {FEWEST} rows", len(now))
        return Change(none, none)
    return Change(
        paired([one.entropy for one in now], [one.entropy for one in base]),
        paired([one.few for one in now], [one.few for one in base]),
    )


def warning(found: Change, narrow: int, base_narrow: int, heads: int) -> str:
    """What to tell people of a collapse, "" where there is none. ``narrow`` heads of all look at few tokens,
    ``base_narrow`` of the base's."""
    said = []
    if found.narrowed:
        said.append(f"the entropy of heads fell by {_size(found.entropy, -1)} of its range")
    if found.drawn:
        said.append(f"the share on first and special tokens rose by {_size(found.few, 1)}")
    if not said:
        return ""
    return (
        f"attention collapses on few tokens: {' and '.join(said)} on {found.few.samples} rows against the "
        f"base; {narrow} of {heads} heads look at few tokens, {base_narrow} before. Try a lower "
        "learning_rate, lora_alpha or lora_rank, or more warmup"
    )


def _size(score: Score, sign: int) -> str:
    ends = sorted(sign * 100 * end for end in score.interval or ())
    return f"{sign * 100 * (score.value or 0.0):.0f} % ({ends[0]:.0f} to {ends[-1]:.0f})"
