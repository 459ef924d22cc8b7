"""A bounded history keeps the first and the newest point and never grows past its capacity."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.contract.state.thinned_series import CAPACITY, Series, add


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
