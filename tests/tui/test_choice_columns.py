"""Slices over knobs with few values: every trial in sight, with box, median and counts."""

import pytest

from tests.tui.explored import SCENES
from tests.tui.scene import state_of
from tui.insight import choice_columns, slice_page
from tui.insight.page_context import View
from tui.theme_colors import Palette

STUDY = state_of(*SCENES["explored"]).studies["tidy-7b"]
RANK = 1  # the knob's place in the search space: 8, 16, 32


def page(width: int, height: int, focus: int | None = None) -> list[str]:
    view = View(STUDY, Palette({}), width, height, choice=RANK, focus=focus)
    return [line.plain for line in slice_page.draw_lines(view)]


def test_each_value_has_its_count_box_and_median():
    text = "\n".join(page(80, 20))
    assert "8  7● 6×" in text and "16  14● 0×" in text and "32  10● 1×" in text
    assert text.count("┌") >= 2 and "━" in text and "middle half" in text


def test_trials_with_the_same_value_stand_beside_each_other():
    """31 results and 7 early stops: all but a few have a cell of their own."""
    lines = page(80, 20)[2:-3]
    assert sum(line.count("●") for line in lines) >= 20, "they stood upon each other in three columns before"


@pytest.mark.parametrize("size", [(30, 10), (56, 16), (200, 60)])
def test_no_line_is_wider_than_the_page(size):
    assert all(len(line.rstrip()) <= size[0] for line in page(*size, focus=0)[1:])


def test_places_in_a_row_go_outwards_and_never_end():
    places = choice_columns._spread_sideways(3)
    assert [next(places) for _ in range(9)] == [0, 2, -2, 1, -1, 3, -3, 0, 2]
