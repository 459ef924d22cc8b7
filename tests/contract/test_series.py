"""A bounded history keeps the first and the newest point and never grows past its capacity."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.state.thinned_series import CAPACITY, Series, add, add_all, cut


def filled(count: int) -> Series:
    series = Series()
    for step in range(1, count + 1):
        series = add(series, step, float(step))
    return series


@given(st.integers(0, 6 * CAPACITY))
def test_first_and_newest_stay_and_the_size_is_bounded(count):
    series = filled(count)
    assert len(series.steps) == len(series.values) <= CAPACITY + 1
    assert series.seen == count
    if count:
        assert series.steps[0] == 1
        assert series.steps[-1] == count == series.last
        assert list(series.steps) == sorted(set(series.steps))


def test_points_between_are_evenly_spaced():
    series = filled(5000)
    body = series.steps[: len(series.steps) - series.tail]
    assert {b - a for a, b in pairwise(body)} == {series.stride}


def test_a_step_seen_before_changes_nothing():
    series = filled(3)
    assert add(series, 3, 9.0) is series
    assert add(series, 1, 9.0) is series


@pytest.mark.parametrize(
    ("count", "at"), [(5, 2), (513, 512), (1024, 0), (1025, 600), (1500, 1499), (3071, 2048)]
)
def test_thinning_loses_no_spike(count, at):
    """Whatever is left out, the extremes of each stretch between two kept points are kept."""
    draw = random.Random(count)
    values = [draw.gauss(0.0, 1.0) for _ in range(count)]
    points = list(enumerate(values, start=1))
    series = add_all(add_all(Series(), points[:at]), points[at:])
    if series.stride == 1:
        assert series.lows == series.highs == () and series.values == tuple(values)
        return
    body = series.steps[: len(series.steps) - series.tail]
    assert len(series.lows) == len(series.highs) == len(body)
    for place, step in enumerate(body):
        stretch = values[step - 1 : step - 1 + series.stride]
        assert (series.lows[place], series.highs[place]) == (min(stretch), max(stretch))


def test_a_cut_has_no_extreme_from_after_it():
    series = add_all(Series(), [(step, 9.0 if step == 806 else 1.0) for step in range(1, 2000)])
    assert max(series.highs) == 9.0
    shorter = cut(series, 805)
    assert max(shorter.highs) == 1.0 and len(shorter.highs) == len(shorter.steps)
    assert len(add(shorter, 809, 2.0).highs) == len(shorter.steps) + 1


def test_a_history_from_before_there_were_extremes_can_be_read_and_grows():
    old = msgspec.msgpack.decode(msgspec.msgpack.encode([[1, 5], [2.0, 3.0], 4, 5, 0]), type=Series)
    assert old == Series((1, 5), (2.0, 3.0), 4, 5, 0)
    grown = add(old, 6, 9.0)
    assert grown.last == 9.0 and grown.highs == (2.0, 9.0) and grown.lows == (2.0, 3.0)
