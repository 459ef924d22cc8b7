"""Attention statistics: entropy, share on few tokens, and whether attention collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.drift_test import paired_difference
from core.evaluate.statistics.interval_formulas import FEWEST as FEWEST

CHANGE = 0.1  # smallest change of entropy, or of the share on few tokens, that is a collapse
QUERIES = 48  # per row; enough for a mean, as a large model has a million weights per query
NARROW = 0.1  # a head with less normalized entropy attends to few tokens


class Heads(NamedTuple):
    """Values of each head of a layer on one row, as means over queries: normalized entropy, share on the
    first token, and share on special tokens after the first."""

    entropy: tuple[float, ...]
    first: tuple[float, ...]
    special: tuple[float, ...]


def query_positions(length: int) -> list[int]:
    """Return up to QUERIES evenly spaced positions in a row of ``length`` tokens, including the last.

    The first is left out: it attends only to itself.
    """
    count = min(QUERIES, length - 1)
    return [1 + (nth + 1) * (length - 1) // count - 1 for nth in range(count)]


def summarize_heads(weights: np.ndarray, queries: Sequence[int], special: Sequence[bool]) -> Heads:
    """Summarize causal attention ``weights`` (heads, queries, T), where each query sums to 1.

    ``queries`` are the queries' positions, none 0, among the T tokens; ``special`` marks the special tokens.
    A query's entropy −Σ p ln p, nats, is divided by ln of the tokens it may see: 1 is uniform, 0 is one token
    alone. Sharp drops go with unstable training (Zhai et al. 2023, arXiv:2303.06296). The first token takes
    much attention in most models, the attention sink (Xiao et al. 2023, arXiv:2309.17453); what matters is
    how that changes.
    """
    attention = np.asarray(weights, dtype=np.float64)
    logs = np.log(attention, where=attention > 0, out=np.zeros_like(attention))
    spread = -(attention * logs).sum(-1) / np.log(np.asarray(queries) + 1)
    marked = np.asarray(special, dtype=bool).copy()
    marked[0] = False
    columns = (spread.mean(-1), attention[:, :, 0].mean(-1), attention[:, :, marked].sum(-1).mean(-1))
    return Heads(*(tuple(float(value) for value in column) for column in columns))


@dataclass(frozen=True)
class Row:
    """One row in two means over all layers and heads. ``few`` is the share of attention on the first and on
    special tokens."""

    entropy: float
    few: float


def summarize_row(layers: Sequence[Heads]) -> Row:
    """Summarize a row over all its layers."""
    entropy = [entropy for layer in layers for entropy in layer.entropy]
    sink_shares = [
        share + other for layer in layers for share, other in zip(layer.first, layer.special, strict=True)
    ]
    return Row(float(np.mean(entropy)), float(np.mean(sink_shares)))


@dataclass(frozen=True)
class Change:
    """The change from the base to the trial on the same rows, with intervals over the rows."""

    entropy: Score
    few: Score

    @property
    def has_narrowed(self) -> bool:
        """Whether the entropy fell by at least CHANGE, with the interval below 0."""
        value, high = self.entropy.value, self.entropy.high
        return value is not None and high is not None and value <= -CHANGE and high < 0

    @property
    def has_concentrated(self) -> bool:
        """Whether the share on few tokens rose by at least CHANGE, with the interval above 0."""
        value, low = self.few.value, self.few.low
        return value is not None and low is not None and value >= CHANGE and low > 0


def change(now: Sequence[Row], base: Sequence[Row]) -> Change:
    """Compare row by row by the change of each; no value with fewer than FEWEST rows."""
    if len(now) < FEWEST:
        no_score = Score.without_value(f"fewer than {FEWEST} rows", len(now))
        return Change(no_score, no_score)
    return Change(
        paired_difference([row.entropy for row in now], [row.entropy for row in base]),
        paired_difference([row.few for row in now], [row.few for row in base]),
    )


def describe_collapse(measured: Change, narrow: int, base_narrow: int, heads: int) -> str:
    """Return the warning about a collapse, "" if there is none.

    ``narrow`` of ``heads`` attend to few tokens, ``base_narrow`` of the base's.
    """
    changes = []
    if measured.has_narrowed:
        changes.append(f"the heads' entropy fell by {_format_change(measured.entropy, -1)} of its range")
    if measured.has_concentrated:
        changes.append(f"the share on first and special tokens rose by {_format_change(measured.few, 1)}")
    if not changes:
        return ""
    return (
        f"attention collapses on few tokens: {' and '.join(changes)} on {measured.few.samples} rows against "
        f"the base; {narrow} of {heads} heads attend to few tokens ({base_narrow} before). Try a lower "
        "learning_rate, lora_alpha or lora_rank, or more warmup"
    )


def _format_change(score: Score, sign: int) -> str:
    ends = sorted(sign * 100 * end for end in score.interval or ())
    return f"{sign * 100 * (score.value or 0.0):.0f} % ({ends[0]:.0f} to {ends[-1]:.0f})"
