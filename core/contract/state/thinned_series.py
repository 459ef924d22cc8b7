"""A curve of bounded length: old points are thinned, the newest point is always kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

CAPACITY = 512


class Series(msgspec.Struct, frozen=True, array_like=True):
    """Points ``(steps[i], values[i])`` in step order, every ``stride``-th of the ``seen`` ones.

    ``tail`` is 1 when the newest point stands outside the stride: it is shown until the next
    one takes its place. ``seen`` counts all points ever given. Once points are left out, ``lows[i]`` and
    ``highs[i]`` are the extremes from the i-th kept point up to the next one: thinning loses no spike.
    """

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    stride: int = 1
    seen: int = 0
    tail: int = 0
    lows: tuple[float, ...] = ()  # empty while every point is kept
    highs: tuple[float, ...] = ()

    @property
    def last(self) -> float | None:
        """Return the newest value, None before the first."""
        return self.values[-1] if self.values else None


def add(series: Series, step: int, value: float) -> Series:
    """Return ``series`` with one more point; a step that is not after the last one is dropped."""
    return add_all(series, ((step, value),))


def add_all(series: Series, points: Iterable[tuple[int, float]]) -> Series:
    """Add each of ``points`` in order, without a copy for each: a replay has millions."""
    steps, values = list(series.steps), list(series.values)
    kept_values = series.values[: len(series.values) - series.tail] if series.stride > 1 else ()
    lows, highs = list(series.lows or kept_values), list(series.highs or kept_values)
    stride, seen, tail = series.stride, series.seen, series.tail
    before = seen
    for step, value in points:
        if steps and step <= steps[-1]:
            continue
        if tail:
            steps.pop()
            values.pop()
        steps.append(step)
        values.append(value)
        tail = 0 if seen % stride == 0 else 1
        if stride > 1:
            _widen(lows, highs, value, bool(tail))
        if not tail and len(steps) > CAPACITY:  # CAPACITY is even: the newest of the odd count stays
            lows, highs = _halve(lows or values, min), _halve(highs or values, max)
            steps, values, stride = steps[::2], values[::2], stride * 2
        seen += 1
    if seen == before:
        return series
    return Series(tuple(steps), tuple(values), stride, seen, tail, tuple(lows), tuple(highs))


def _widen(lows: list[float], highs: list[float], value: float, inside: bool) -> None:
    """Add a value to the last stretch, or begin another with it."""
    if inside and lows:
        lows[-1], highs[-1] = min(lows[-1], value), max(highs[-1], value)
    else:
        lows.append(value)
        highs.append(value)


def _halve(extremes: list[float], choose: Callable[[list[float]], float]) -> list[float]:
    return [choose(extremes[place : place + 2]) for place in range(0, len(extremes), 2)]


def cut(series: Series, step: int) -> Series:
    """Return ``series`` up to and including ``step``."""
    count = sum(1 for at in series.steps if at <= step)
    dropped = len(series.steps) - count
    if not dropped:
        return series
    steps, values = series.steps[:count], series.values[:count]
    lows, highs = (
        (*ends[: count - 1], values[-1]) if ends and count else ()  # later points may be in the last stretch
        for ends in (series.lows, series.highs)
    )
    return Series(steps, values, series.stride, count * series.stride, 0, lows, highs)
