"""Numbers as people read them."""

import math

import pytest

from tests.tui.scene import cpu_pack, gpu_packs
from tui.number_text import (
    BLOCKS,
    draw_bar,
    draw_sparkline,
    format_duration,
    format_loss,
    format_number,
    format_percent,
    format_short,
    format_size,
    smooth_values,
)
from tui.study.pack_line import make_pack_line
from tui.theme_colors import Palette


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"), (-1, "–"), (math.inf, "–"), (math.nan, "–"), (0, "0s"), (59.4, "59s"), (59.6, "1m00s"),
        (192, "3m12s"), (3600, "1h00m"), (7500, "2h05m"), (86_400 * 4 + 3 * 3600, "4d03h"),
    ],
)  # fmt: skip
def test_durations(seconds, shown):
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "–"), (0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1.5 * 2**30, "1.50G"), (80 * 2**30, "80.0G"),
     (900 * 2**30, "900G"), (5000 * 2**40, "5000T")],
)  # fmt: skip
def test_sizes(count, shown):
    assert format_size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (16, "16"), (0.0, "0"), (32.0, "32"), (0.000123456, "0.0001235"), (2.9651e-5, "2.965e-5"),
     (1234567.0, "1.235e6"), (["q_proj", "v_proj"], "q_proj+v_proj"), ("adamw", "adamw"), (True, "True")],
)  # fmt: skip
def test_numbers_have_four_significant_digits(value, shown):
    assert format_number(value) == shown


def test_numbers_that_are_not_finite_are_shown_too():
    assert (
        format_number(math.inf) == "inf"
        and format_number(math.nan) == "nan"
        and format_number(-math.inf) == "-inf"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (math.nan, "–"), (1.23456, "1.235"), (0.0004, "0.0004"), (5213.0, "5213")],
)
def test_a_loss_keeps_its_width(value, shown):
    assert format_loss(value) == shown


def test_percent():
    assert (format_percent(None), format_percent(0.066), format_percent(1.0)) == ("–", "7%", "100%")


@pytest.mark.parametrize("share", [None, -1.0, 0.0, 0.01, 0.33, 0.999, 1.0, 7.0])
def test_a_bar_always_has_its_width(share):
    full, empty = draw_bar(share, 9)
    assert len(full) + len(empty) == 9
    assert ("░" not in empty) == (share is not None and share >= 0.99)


def test_a_sparkline_goes_from_the_lowest_to_the_highest():
    assert draw_sparkline([0.0, 7.0, 3.5], 5) == "  ▁█▅"
    assert draw_sparkline([2.0, 2.0], 2) == "▁▁"
    assert draw_sparkline([], 4) == "    " and draw_sparkline([None, math.nan], 3) == "   "
    assert draw_sparkline([1.0, None, 2.0], 3) == "▁ █"
    assert draw_sparkline([0.5], 1, 0.0, 1.0) == BLOCKS[4]


def test_a_long_sparkline_is_thinned_to_its_width():
    shown = draw_sparkline([float(one) for one in range(1000)], 8)
    assert shown == "▁▂▃▄▅▆▇█"


def test_smoothing_starts_at_the_first_value_and_follows():
    assert smooth_values([3.0])[0] == pytest.approx(3.0)
    assert smooth_values([2.0] * 50)[-1] == pytest.approx(2.0)
    assert smooth_values([]) == []
    assert 0.0 < smooth_values([0.0] * 20 + [1.0])[-1] < 0.2


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0"),
        (950.4, "950"),
        (999.6, "1.0k"),
        (15_200, "15.2k"),
        (1.3e6, "1.3M"),
    ],
)
def test_counts_of_tokens(count, shown):
    assert format_short(count) == shown


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, "0 pack 6 trials · 15.2k tok/s · base 4.00G + 6 × 205M"),
        (50, "0 pack 6 · 15.2k tok/s · 4.00G + 6 × 205M"),
        (33, "0 pack 6 15.2k tok/s 4.00G+1.20G"),
        (32, "0 pack 6 15.2k tok/s 4.00G+1.20G"),
        (24, "0 pack 6 15.2k tok/s"),
        (10, "0 pack 6"),
    ],
)
def test_a_pack_is_one_line_of_what_fits(width, shown):
    assert make_pack_line(gpu_packs()[0], width, Palette({})).plain == shown


def test_a_pack_on_the_cpu_has_no_number_of_a_card():
    shown = make_pack_line(cpu_pack()[0], 80, Palette({})).plain
    assert shown == "pack 2 trials · 914 tok/s · base 513M + 2 × 19.5M"


def test_why_trials_take_turns_is_said():
    wide, narrow = (make_pack_line(gpu_packs()[1], width, Palette({})).plain for width in (80, 32))
    assert wide == "1 pack 2 trials, one after another · 975 tok/s · int8 layers scale by the whole batch"
    assert narrow == "1 not packed: int8 layers scale by the whole batch"
