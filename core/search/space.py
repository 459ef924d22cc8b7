"""A study's space in Optuna's terms: distributions, and its parameters turned back into knobs."""

from __future__ import annotations

import json
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from core.contract.condition import met, order
from core.contract.space import Choice, Dimension, Range, Space


def stored(value: Any) -> Any:
    """A choice as Optuna keeps it: a list of module names becomes its JSON text."""
    return json.dumps(value) if isinstance(value, list) else value


def distribution(dimension: Dimension) -> BaseDistribution:
    """The Optuna distribution of one dimension."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution([stored(value) for value in dimension.values])
    if dimension.kind == "int":
        low, high = int(dimension.low), int(dimension.high)
        return IntDistribution(low, high, log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(
        float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step
    )


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Every dimension as Optuna's distribution, in the space's order."""
    return {name: distribution(dimension) for name, dimension in space.items()}


def suggested(space: Space, trial: Trial) -> dict[str, Any]:
    """Have ``trial`` get a value for each dimension that is searched beside the others; as knobs."""
    params: dict[str, Any] = {}
    for name in order(space):
        if met(space[name], params):
            value = trial._suggest(name, distribution(space[name]))
            params |= restored(space, {name: value})
    return params


def restored(space: Space, params: dict[str, Any]) -> dict[str, Any]:
    """Optuna's parameters as knob values: JSON texts become lists again."""
    return {name: _restored(space[name], value) for name, value in params.items() if name in space}


def _restored(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension, Choice):
        return next((one for one in dimension.values if stored(one) == value), value)
    return int(value) if dimension.kind == "int" else float(value)


def grid(space: Space) -> dict[str, list[Any]]:
    """All values of each dimension, as the grid sampler takes them; a float needs a step."""
    return {name: _values(dimension) for name, dimension in space.items()}


def _values(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choice):
        return [stored(value) for value in dimension.values]
    return _spaced(dimension)


def _spaced(dimension: Range) -> list[float | int]:
    step = dimension.step or 1
    count = int((dimension.high - dimension.low) / step + 1e-9) + 1
    values = [dimension.low + index * step for index in range(count)]
    return [int(value) for value in values] if dimension.kind == "int" else [float(v) for v in values]
