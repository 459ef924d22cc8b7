"""A curve of bounded length: old points are thinned, the newest point is always kept."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

CAPACITY = 512


class Series(msgspec.Struct, frozen=True, array_like=True):
    """Points ``(steps[i], values[i])`` in step order, every ``stride``-th of the ``seen`` ones.

    ``tail`` is 1 if the newest point is outside the stride: the next point replaces it. ``seen`` counts all
    points ever added.
    """

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    stride: int = 1
    seen: int = 0
    tail: int = 0

    @property
    def last(self) -> float | None:
        """Return the newest value, None before the first."""
        return self.values[-1] if self.values else None


def add(series: Series, step: int, value: float) -> Series:
    """Return ``series`` with another point; a step that is not after the last one is dropped."""
    if series.steps and step <= series.steps[-1]:
        return series
    keep = len(series.steps) - series.tail
    steps = (*series.steps[:keep], step)
    values = (*series.values[:keep], value)
    stride = series.stride
    tail = 0 if series.seen % stride == 0 else 1
    if not tail and len(steps) > CAPACITY:  # CAPACITY is even: the newest of the odd count stays
        steps, values, stride = steps[::2], values[::2], stride * 2
    return Series(steps, values, stride, series.seen + 1, tail)


def add_all(series: Series, points: Iterable[tuple[int, float]]) -> Series:
    """Add each of ``points`` in order, without a copy for each: a replay has millions."""
    steps, values = list(series.steps), list(series.values)
    stride, count, tail = series.stride, series.seen, series.tail
    for step, value in points:
        if steps and step <= steps[-1]:
            continue
        if tail:
            steps.pop()
            values.pop()
        steps.append(step)
        values.append(value)
        tail = 0 if count % stride == 0 else 1
        if not tail and len(steps) > CAPACITY:
            steps, values, stride = steps[::2], values[::2], stride * 2
        count += 1
    return Series(tuple(steps), tuple(values), stride, count, tail)


def cut(series: Series, step: int) -> Series:
    """Return ``series`` up to and including ``step``."""
    count = sum(1 for at in series.steps if at <= step)
    dropped = len(series.steps) - count
    if not dropped:
        return series
    steps, values = series.steps[:count], series.values[:count]
    return Series(steps, values, series.stride, count * series.stride, 0)
