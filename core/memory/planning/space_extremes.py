"""The smallest and largest trial of a search space by memory, and how much of the space fits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from core.contract.spec.search_space import Choice, Dimension, Range
from core.contract.spec.study_spec import StudySpec

SAMPLES = 200
# Knobs that need more memory the larger they are.
COSTLY = (
    "batch_size",
    "sequence_length",
    "lora_rank",
    "gradient_accumulation",
    "lora_dropout",
)
Estimate = Callable[[Mapping[str, Any]], int]


def find_extremes(spec: StudySpec, estimate: Estimate) -> tuple[dict[str, Any], dict[str, Any]]:
    """The knobs of the smallest and of the largest trial; ``estimate`` estimates a trial's bytes."""
    small, large = dict(spec.train), dict(spec.train)
    for name, dimension in spec.space.items():
        values = _list_ends(dimension)
        if name in COSTLY and all(isinstance(value, int | float) for value in values):
            small[name], large[name] = min(values), max(values)
            continue
        small[name] = min(values, key=lambda value, name=name: estimate({**spec.train, name: value}))  # type: ignore[misc]
        large[name] = max(values, key=lambda value, name=name: estimate({**spec.train, name: value}))  # type: ignore[misc]
    return small, large


def _list_ends(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return [_convert_kind(dimension, dimension.low), _convert_kind(dimension, dimension.high)]


def _convert_kind(dimension: Range, value: float) -> float | int:
    return int(value) if dimension.kind == "int" else value


def estimate_fitting_share(spec: StudySpec, fits: Callable[[Mapping[str, Any]], bool]) -> float:
    """The fraction of the space that fits, 0 to 1, from random points."""
    rng = random.Random(0)
    points = ({**spec.train, **{n: _draw(d, rng) for n, d in spec.space.items()}} for _ in range(SAMPLES))
    return sum(map(fits, points)) / SAMPLES


def _draw(dimension: Dimension, rng: random.Random) -> Any:
    if isinstance(dimension, Choice):
        return rng.choice(dimension.values)
    if dimension.log:
        value = dimension.low * (dimension.high / dimension.low) ** rng.random()
    else:
        value = rng.uniform(dimension.low, dimension.high)
    return round(value) if dimension.kind == "int" else value
