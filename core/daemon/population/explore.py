"""Perturbs the knobs of a clone (the explore step of PBT): times a factor, a neighbouring choice, or
resampled. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.contract.spec.conditional_knobs import find_idle_value, is_searched, order_knobs
from core.contract.spec.search_space import (
    Choice,
    Dimension,
    Space,
    count_steps,
    find_nearest_point,
    find_point,
    find_step,
)
from core.contract.spec.study_spec import PopulationOptions


def perturb(
    space: Space,
    knobs: Mapping[str, Any],
    options: PopulationOptions,
    free: Collection[str],
    draw: random.Random,
) -> dict[str, tuple[Any, Any]]:
    """Return (before, after) of each of the ``free`` knobs that changes.

    Values stay within their dimension; a conditional knob whose condition no longer holds gets its
    ``otherwise`` value. As in Jaderberg et al. 2017, arXiv:1711.09846: each knob is multiplied by one of the
    factors, or resampled from the space with some probability.
    """
    then = dict(knobs)
    for name in order_knobs(space):
        if name not in free:
            continue
        if not is_searched(space[name], then):
            then[name] = find_idle_value(name, space[name])
        elif not is_searched(space[name], knobs) or draw.random() < options.resample:
            then[name] = draw_value(space[name], draw)
        else:
            then[name] = _perturb_number(space[name], knobs.get(name), options.factors, draw)
    return {name: (knobs.get(name), after) for name, after in then.items() if after != knobs.get(name)}


def draw_value(dimension: Dimension, draw: random.Random) -> Any:
    """Draw a point of ``dimension``, uniformly on its scale."""
    if isinstance(dimension, Choice):
        return draw.choice(dimension.values)
    if dimension.log:
        low, high = math.log(dimension.low), math.log(dimension.high)
        return find_nearest_point(dimension, math.exp(draw.uniform(low, high)))
    if find_step(dimension):
        return find_point(dimension, draw.randint(0, count_steps(dimension)))
    return find_nearest_point(dimension, draw.uniform(dimension.low, dimension.high))


def _perturb_number(dimension: Dimension, now: Any, factors: Sequence[float], draw: random.Random) -> Any:
    if isinstance(dimension, Choice):
        return _choose_neighbour(dimension.values, now, draw)
    if isinstance(now, bool) or not isinstance(now, int | float):
        return draw_value(dimension, draw)
    factor = draw.choice(factors)
    after = find_nearest_point(dimension, now * factor)
    if after != now or factor == 1 or not (step := find_step(dimension)):
        return after
    # rounding gave the same value: without this, small integers would never change
    return find_nearest_point(dimension, now + math.copysign(step, factor - 1))


def _choose_neighbour(values: Sequence[Any], now: Any, draw: random.Random) -> Any:
    if now not in values:
        return draw.choice(values)
    at = values.index(now)
    neighbours = [index for index in (at - 1, at + 1) if 0 <= index < len(values)]
    return values[draw.choice(neighbours)] if neighbours else now
