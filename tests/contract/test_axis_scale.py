"""Axes of plots: positions, and round numbers as ticks, by values worked out by hand."""

import itertools

import pytest

from core.contract.views.axis_scale import AxisScale, thin_out


@pytest.mark.parametrize(
    ("scale", "value", "position"),
    [
        (AxisScale(0, 10), 0, 0.0),
        (AxisScale(0, 10), 2.5, 0.25),
        (AxisScale(-4, 4), 0, 0.5),
        (AxisScale(1e-5, 1e-1, log=True), 1e-3, 0.5),
        (AxisScale(1, 1000, log=True), 10, 1 / 3),
    ],
)
def test_a_value_has_a_position_and_a_position_its_value(scale, value, position):
    assert scale.find_position(value) == pytest.approx(position)
    assert scale.find_value(position) == pytest.approx(value)
    assert scale.find_positions([value, scale.high]) == pytest.approx([position, 1.0])
    assert scale.contains(value)


@pytest.mark.parametrize("scale", [AxisScale(1, 3), AxisScale(1, 3, log=True)])
def test_values_beyond_the_axis_are_at_its_ends(scale):
    assert (
        scale.find_position(99) == 1.0 and scale.find_position(-99) == 0.0 and scale.find_position(0) == 0.0
    )
    assert not scale.contains(3.1) and not scale.contains(0)
    assert scale.contains(3 * (1 + 1e-12)), "rounding does not push a value off the axis"


@pytest.mark.parametrize(
    ("values", "low", "high"), [([2, 1, 4], 1, 4), ([2, 2], 1.9, 2.1), ([0], -0.5, 0.5), ([-10], -10.5, -9.5)]
)
def test_an_axis_covers_its_values_and_a_single_one_lies_in_its_middle(values, low, high):
    scale = AxisScale.over(values)
    assert (scale.low, scale.high) == pytest.approx((low, high))
    assert scale.find_position(values[0]) == pytest.approx((values[0] - low) / (high - low))


def test_a_single_value_lies_in_the_middle_of_a_logarithmic_axis():
    for value in (1.0, 1e-4, 3e5):
        scale = AxisScale.over([value], log=True)
        assert scale.log and 0 < scale.low < value < scale.high
        assert scale.find_position(value) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (1.1, 2.9), (-3, -2.9), (0.001, 0.0012), (1e-9, 1e9), (5, 5.01)]
)
@pytest.mark.parametrize("most", [2, 4, 9])
def test_ticks_are_round_inside_and_few(low, high, most):
    ticks = AxisScale(low, high).list_ticks(most)
    assert len(ticks) <= most + 1
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    gaps = {round((b - a) / (high - low), 6) for a, b in itertools.pairwise(ticks)}
    assert len(gaps) <= 1


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 100, 4, [0, 25, 50, 75, 100]),
        (-0.02, 0.03, 3, [-0.02, 0, 0.02]),
        (1, 2001, 4, [500, 1000, 1500, 2000]),
        (0, 2001, 4, [0, 500, 1000, 1500, 2000]),  # a step or so more does not halve their number
    ],
)
def test_ticks_are_even(low, high, most, ticks):
    assert AxisScale(low, high).list_ticks(most) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 1e-1, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (0.02, 30, [0.1, 1, 10]),
        (2, 9, [2, 4, 6, 8]),  # no power of ten lies between them
        (0.9, 3, [1, 2, 3]),
    ],
)
def test_a_logarithmic_axis_has_powers_of_ten_or_else_round_values(low, high, ticks):
    assert AxisScale(low, high, log=True).list_ticks(4) == pytest.approx(ticks)


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize("most", [1, 3, 5])
def test_too_many_ticks_are_thinned_evenly(count, most):
    kept = thin_out(list(map(float, range(count))), most)
    assert kept[0] == 0 and len(kept) <= most + 1
    assert len({b - a for a, b in itertools.pairwise(kept)}) <= 1
