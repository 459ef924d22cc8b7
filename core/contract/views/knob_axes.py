"""A study's searched knobs as axes from 0 to 1: positions of values, and labels. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.contract.spec.knob_table import KNOBS
from core.contract.spec.search_space import Choice, Dimension
from core.contract.state import engine_state as s
from core.contract.views.axis_scale import AxisScale


@dataclass(frozen=True)
class Axis:
    """One searched knob: numbers from ``low`` to ``high``, or ``choices`` in the file's order."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def short(self) -> str:
        """Return the knob's short name."""
        knob = KNOBS.get(self.name)
        return knob.short or self.name if knob else self.name

    def place(self, value: Any) -> float | None:
        """Return the position of ``value``, 0 to 1; None if it is not on the axis (the range may have
        moved)."""
        if self.choices:
            places = [index for index, choice in enumerate(self.choices) if _are_same(choice, value)]
            return places[0] / max(1, len(self.choices) - 1) if places else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        if self.high <= self.low:
            return 0.5 if value == self.low else None
        if self.log and (value <= 0 or self.low <= 0):
            return None
        return self._scale.find_position(value) if self._scale.contains(value) else None

    @cached_property
    def _scale(self) -> AxisScale:
        return AxisScale(self.low, self.high, self.log and self.low > 0)

    def list_marks(self) -> list[tuple[float, Any]]:
        """Return the labels along the axis, as (position, value): each choice, or both ends and the
        middle."""
        if self.choices:
            return [
                (index / max(1, len(self.choices) - 1), choice) for index, choice in enumerate(self.choices)
            ]
        middle = self._scale.find_value(0.5)
        return [(0.0, self.low), (0.5, float(f"{middle:.3g}")), (1.0, self.high)]


def _are_same(value: Any, other_value: Any) -> bool:
    """Compare two knob values; a list of modules in the file may be a tuple after the wire."""
    if isinstance(value, list | tuple) and isinstance(other_value, list | tuple):
        return list(value) == list(other_value)
    return isinstance(value, bool) == isinstance(other_value, bool) and bool(value == other_value)


def list_axes(study: s.Study) -> list[Axis]:
    """Return the searched knobs in the file's order. An entry that this version cannot read is left out."""
    return [_make_axis(name, dimension) for name, dimension in study.settings.space.items()]


def _make_axis(name: str, dimension: Dimension) -> Axis:
    if isinstance(dimension, Choice):
        return Axis(name, choices=dimension.values)
    return Axis(name, float(dimension.low), float(dimension.high), dimension.log)
