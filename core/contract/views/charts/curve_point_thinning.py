"""Thins the points of a curve for a plot without losing a spike. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

Place = tuple[float, float]


def keep_extremes(places: Sequence[Place], columns: int) -> list[Place]:
    """Return the first, lowest, highest and last of the places in each of ``columns`` columns, in order.

    Places run from 0 to 1 and are sorted by x. A line through those kept covers the same dots of a column as
    a line through all (M4: Jugel et al. 2014).
    """
    if len(places) <= 4 * columns:
        return list(places)
    kept_points: list[Place] = []
    for _, group in groupby(places, key=lambda place: round(place[0] * (columns - 1))):
        column = list(group)
        lowest = min(range(len(column)), key=lambda index: column[index][1])
        highest = max(range(len(column)), key=lambda index: column[index][1])
        kept_points += [column[index] for index in sorted({0, lowest, highest, len(column) - 1})]
    return kept_points


def clip_places(places: Sequence[Place]) -> list[Place]:
    """Return the places from 0 to 1, with the points where the line between two of them crosses an end."""
    if not places or (places[0][0] >= 0 and places[-1][0] <= 1):
        return list(places)
    kept_points: list[Place] = []
    for index, (x, y) in enumerate(places):
        if index:
            before = places[index - 1]
            kept_points += [_interpolate_crossing(before, (x, y), end) for end in _list_ends(before[0], x)]
        if 0 <= x <= 1:
            kept_points.append((x, y))
    return kept_points


def _list_ends(low: float, high: float) -> list[float]:
    return [end for end in (0.0, 1.0) if low < end < high]


def _interpolate_crossing(before: Place, after: Place, x: float) -> Place:
    share = (x - before[0]) / (after[0] - before[0])
    return x, before[1] + share * (after[1] - before[1])
