"""The share of each source of a mixture in the rows that a trial draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core.contract.spec.knob_table import REPLAY, WEIGHT


class SourceSize(NamedTuple):
    """A source of a mixture, and how many rows it has."""

    name: str
    rows: int
    replay: bool = False


class Mixture(NamedTuple):
    """The sources whose rows stand one after another among the training rows, and the temperature."""

    sizes: tuple[SourceSize, ...]
    temperature: float = 1.0


def find_shares(sources: Sequence[SourceSize], knobs: Mapping[str, Any], temperature: float) -> list[float]:
    """Return the share of each source; they add up to 1, or are all 0 if no source is left.

    A weight that is not given is the source's share of all rows, flattened by the ``temperature``
    (Devlin's exponent 1 / temperature on the number of rows, as for multilingual BERT). The weights count
    within their group: the sources with ``replay`` have the knob's share together, all others the rest.
    """
    sizes = [float(source.rows) ** (1 / temperature) if source.rows else 0.0 for source in sources]
    weights = []
    for source, size in zip(sources, sizes, strict=True):
        weight = knobs.get(f"{WEIGHT}{source.name}")
        weights.append(0.0 if not source.rows else size / sum(sizes) if weight is None else float(weight))
    groups = [
        sum(weight for weight, source in zip(weights, sources, strict=True) if source.replay is kind)
        for kind in (False, True)
    ]
    replay = float(knobs.get(REPLAY.name) or 0.0) if all(groups) else float(groups[1] > 0)
    return [
        weight / groups[source.replay] * (replay if source.replay else 1.0 - replay) if weight else 0.0
        for weight, source in zip(weights, sources, strict=True)
    ]
