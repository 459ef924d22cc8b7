"""The part of a chart that is in sight: ends that rarely move, zoom and pan. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.contract.views.axis_scale import AxisScale

LADDER = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
PARTS = 8  # a value axis ends at a multiple of about this part of it
NARROWEST = 1e-3  # of the whole: the narrowest window

Window = tuple[float, float]


def round_end(last: float, planned: float = 0.0) -> float:
    """Return where an axis of steps, tokens or seconds ends: a round number after ``last``, at most where it
    is ``planned`` to. It moves rarely, so that most readings leave the picture as it is."""
    if last <= 0:
        return planned or 1.0
    power = 10.0 ** math.floor(math.log10(last))
    end = next(rung * power for rung in LADDER if rung * power >= last * (1 - 1e-12))
    return planned if last <= planned < end else end


def round_values(values: Iterable[float], log: bool = False) -> AxisScale:
    """Return an axis over the values whose ends are round, so that a reading within them does not move it.
    It reaches below 0 only where a value does: a share has no place there."""
    values = list(values)
    tight = AxisScale.over(values, log)
    if log:
        low, high = (math.log10(end) * PARTS for end in (tight.low, tight.high))
        return AxisScale(10 ** (math.floor(low) / PARTS), 10 ** (math.ceil(high) / PARTS), True)
    rough = (tight.high - tight.low) / PARTS
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next(rung * power for rung in (1.0, 2.0, 5.0, 10.0) if rung * power >= rough * 0.999)
    low, high = math.floor(tight.low / unit + 1e-9) * unit, math.ceil(tight.high / unit - 1e-9) * unit
    low = max(0.0, low) if min(values) >= 0 else low
    return AxisScale(low, high) if high > low else tight


def zoom(full_axis: AxisScale, window: Window | None, factor: float, at: float = 1.0) -> Window | None:
    """Return the window ``factor`` times as wide, with the place ``at`` (0 to 1 of the window) where it is;
    None when all is in sight."""
    low, high = _find_shares(full_axis, window)
    wide = min(1.0, max(NARROWEST, (high - low) * factor))
    return _clip(full_axis, low + at * (high - low) - at * wide, wide)


def pan(full_axis: AxisScale, window: Window | None, share: float) -> Window | None:
    """Return the window moved by a ``share`` of its width, as far as the axis goes."""
    low, high = _find_shares(full_axis, window)
    return _clip(full_axis, low + share * (high - low), high - low)


def _clip(full_axis: AxisScale, low: float, wide: float) -> Window | None:
    if wide >= 1.0:
        return None
    low = min(1.0 - wide, max(0.0, low))
    return full_axis.find_value(low), full_axis.find_value(low + wide)


def _find_shares(full_axis: AxisScale, window: Window | None) -> tuple[float, float]:
    return (full_axis.find_position(window[0]), full_axis.find_position(window[1])) if window else (0.0, 1.0)
