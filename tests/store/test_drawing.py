"""Curves are pictures of our own: SVG that is well formed, PNG that opens, axes with round numbers."""

import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from core.contract.views.axis_scale import thin_out
from core.store.plots.plot_layout import HEIGHT, TICKS, WIDTH, add_margin, format_label, list_marks
from core.store.plots.png_plot import SCALE, write_png
from core.store.plots.svg_plot import make_svg


def test_the_objective_comes_first_and_the_chosen_trial_lies_on_top(report):
    plots = report().plots
    assert plots[0].metric.name == "eval/loss"
    assert plots[0].curves[-1].trial == 4 and plots[0].curves[-1].ahead
    assert sum(curve.ahead for curve in plots[0].curves) == 1


def test_limits_and_the_base_are_drawn_where_they_are(report):
    toxicity = next(plot for plot in report().plots if plot.metric.name == "safety/toxicity")
    assert toxicity.bounds == (0.08,) and toxicity.base == 0.021
    assert {mark.text for mark in list_marks(toxicity)} >= {"limit", "base", "trial 4"}


def test_every_picture_is_well_formed_and_inside_its_frame(report, tmp_path):
    for plot in report().plots:
        for alone in (True, False):
            ET.fromstring(make_svg(plot, alone))
        for mark in list_marks(plot):
            assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in mark.points), plot.metric.name
    assert write_png(report().plots[0], tmp_path / "one.png") == ""
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (WIDTH * SCALE, HEIGHT * SCALE) and len(picture.getcolors(1 << 20)) > 20


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([0.0, 100.0], False, [0, 25, 50, 75, 100]),
        ([1.21, 2.6], False, [1.5, 2, 2.5]),
        ([-0.02, 0.03], False, [-0.02, 0, 0.02]),
        ([1e-5, 1e-1], True, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        ([1e-9, 1e9], True, [1e-9, 1e-5, 1e-1, 1e3, 1e7]),
        ([7.0, 7.0], False, [4, 6, 8, 10]),
    ],
)
def test_an_axis_has_round_numbers(values, log, ticks):
    assert thin_out(add_margin(values, log).list_ticks(TICKS), TICKS) == pytest.approx(ticks)


def test_numbers_on_an_axis_are_short():
    assert [format_label(one) for one in (0, 0.25, 1e-5, 1500, 9.1e9, -2)] == [
        "0",
        "0.25",
        "1e-5",
        "1.5k",
        "9.1G",
        "-2",
    ]
