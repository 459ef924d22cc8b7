"""Converts a study's space to Optuna's distributions, and Optuna's parameters back to knobs."""

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

from core.contract.spec.conditional_knobs import is_searched, list_searched, order_knobs
from core.contract.spec.search_space import (
    Choice,
    Dimension,
    Space,
    count_steps,
    find_nearest_point,
    find_point,
)


def to_optuna(value: Any) -> Any:
    """Return a choice as Optuna stores it: a list of module names becomes JSON text."""
    return json.dumps(value) if isinstance(value, list) else value


def make_distribution(dimension: Dimension) -> BaseDistribution:
    """Return the Optuna distribution of one dimension. Its upper end is the last step, since Optuna warns
    about any other value."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution([to_optuna(value) for value in dimension.values])
    high = find_point(dimension, count_steps(dimension)) if dimension.step else dimension.high
    if dimension.kind == "int":
        return IntDistribution(
            int(dimension.low), int(high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(float(dimension.low), float(high), log=dimension.log, step=dimension.step)


def make_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the Optuna distribution of every dimension, in the space's order."""
    return {name: make_distribution(dimension) for name, dimension in space.items()}


def suggest_knobs(space: Space, trial: Trial) -> dict[str, Any]:
    """Let the sampler choose a value for each dimension whose condition is met; returns knobs."""
    params: dict[str, Any] = {}
    for name in order_knobs(space):
        if is_searched(space[name], params):
            value = trial._suggest(name, make_distribution(space[name]))
            params |= from_optuna(space, {name: value})
    return params


def convert_knobs(space: Space, knobs: dict[str, Any]) -> dict[str, Any]:
    """Return the searched ``knobs`` of a trial in the space, as Optuna stores them."""
    return {name: to_optuna(_restore_value(space[name], knobs[name])) for name in list_searched(space, knobs)}


def from_optuna(space: Space, params: dict[str, Any]) -> dict[str, Any]:
    """Return Optuna's parameters as knob values: JSON texts become lists again, and numbers are rounded to
    points of the space (Optuna computes steps in floating point and through logarithms)."""
    return {name: _restore_value(space[name], value) for name, value in params.items() if name in space}


def _restore_value(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension, Choice):
        return next((choice for choice in dimension.values if to_optuna(choice) == to_optuna(value)), value)
    return (
        int(find_nearest_point(dimension, value))
        if dimension.kind == "int"
        else float(find_nearest_point(dimension, value))
    )


def make_grid(space: Space) -> dict[str, list[Any]]:
    """Return all values of each dimension, for the grid sampler; a float needs a step."""
    return {name: _list_values(dimension) for name, dimension in space.items()}


def _list_values(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choice):
        return [to_optuna(value) for value in dimension.values]
    return [
        _restore_value(dimension, find_point(dimension, steps)) for steps in range(count_steps(dimension) + 1)
    ]
