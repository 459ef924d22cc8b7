"""Dimensions that are searched only if another knob of the space has certain values (``when``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.contract.spec.knob_table import find_knob
from core.contract.spec.search_space import Dimension, Space, explain_outside


def is_searched(dimension: Dimension, knobs: Mapping[str, Any]) -> bool:
    """Tell whether the dimension is searched, given these knobs."""
    return all(knobs.get(name) in values for name, values in dimension.when.items())


def order_knobs(space: Space) -> list[str]:
    """Return the knobs, each after the knobs in its ``when``, otherwise in the file's order.

    Knobs in a cycle of conditions are left out.
    """
    ordered: list[str] = []
    remaining = list(space)
    while ready := next((name for name in remaining if not set(space[name].when) & set(remaining)), None):
        ordered.append(ready)
        remaining.remove(ready)
    return ordered


def list_idle(space: Space, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the knobs whose condition is not met by ``knobs``."""
    return {
        name: find_idle_value(name, dimension)
        for name, dimension in space.items()
        if not is_searched(dimension, knobs)
    }


def find_idle_value(name: str, dimension: Dimension) -> Any:
    """Return the knob's value where it is not searched."""
    if dimension.otherwise is not None:
        return dimension.otherwise
    knob = find_knob(name)
    return None if knob is None else knob.default


def list_searched(space: Space, knobs: Mapping[str, Any]) -> list[str]:
    """Return the knobs that are searched, given ``knobs``, which holds the knobs in their conditions."""
    return [name for name in order_knobs(space) if is_searched(space[name], knobs)]


def find_misfit(space: Space, knobs: Mapping[str, Any]) -> str | None:
    """Return the first knob because of which ``knobs`` are not a point of the space; None if they are one."""
    for name, dimension in space.items():
        if name not in knobs:
            return name
        if not is_searched(dimension, knobs):
            if knobs[name] != find_idle_value(name, dimension):
                return name
        elif explain_outside(dimension, knobs[name]):
            return name
    return None


def find_faults(space: Space) -> Iterator[tuple[str, str]]:
    """Return the faults that involve several dimensions, as (key, fault)."""
    for name, dimension in space.items():
        for condition_knob, values in dimension.when.items():
            key = f"{name}.when.{condition_knob}"
            if condition_knob not in space:
                yield key, f"{condition_knob} is not searched: a condition needs a knob of [space]"
                continue
            wrong = [value for value in values if explain_outside(space[condition_knob], value)]
            if wrong:
                yield key, f"{condition_knob} is never {wrong[0]!r} in this space"
    stuck = [name for name in space if name not in order_knobs(space)]
    if stuck and all(set(space[name].when) <= set(space) for name in stuck):
        yield f"{stuck[0]}.when", f"{' and '.join(stuck)} hang on each other"
