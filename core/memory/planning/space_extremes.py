"""The smallest and the largest trial of a space, as memory sees them, and how much of a space fits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from core.contract.spec.search_space import Choice, Dimension, Range
from core.contract.spec.study_spec import Spec

SAMPLES = 200
COSTLY = (
    "batch_size",
    "sequence_length",
    "lora_rank",
    "gradient_accumulation",
    "lora_dropout",
)  # more, larger
Weigh = Callable[[Mapping[str, Any]], int]


def corners(spec: Spec, weigh: Weigh) -> tuple[dict[str, Any], dict[str, Any]]:
    """The knobs of the smallest and of the largest trial; ``weigh`` gives the bytes of one."""
    small, large = dict(spec.train), dict(spec.train)
    for name, dimension in spec.space.items():
        values = _ends(dimension)
        if name in COSTLY and all(isinstance(value, int | float) for value in values):
            small[name], large[name] = min(values), max(values)
            continue
        small[name] = min(values, key=lambda value, name=name: weigh({**spec.train, name: value}))  # type: ignore[misc]
        large[name] = max(values, key=lambda value, name=name: weigh({**spec.train, name: value}))  # type: ignore[misc]
    return small, large


def _ends(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return [_whole(dimension, dimension.low), _whole(dimension, dimension.high)]


def _whole(dimension: Range, value: float) -> float | int:
    return int(value) if dimension.kind == "int" else value


def share(spec: Spec, fits: Callable[[Mapping[str, Any]], bool]) -> float:
    """The part of the space that fits, by random points of it; 0 to 1."""
    dice = random.Random(0)
    points = ({**spec.train, **{n: _draw(d, dice) for n, d in spec.space.items()}} for _ in range(SAMPLES))
    return sum(map(fits, points)) / SAMPLES


def _draw(dimension: Dimension, dice: random.Random) -> Any:
    if isinstance(dimension, Choice):
        return dice.choice(dimension.values)
    if dimension.log:
        value = dimension.low * (dimension.high / dimension.low) ** dice.random()
    else:
        value = dice.uniform(dimension.low, dimension.high)
    return round(value) if dimension.kind == "int" else value
