"""Curves drawn large: the dots, the ticks, and what is never drawn."""

import itertools
import math

import pytest
from rich.text import Text

from core.contract.state.engine_state import Mark
from tests.tui.scene import no_card, state_of, study_events
from tui.theme_colors import Palette
from tui.widgets.braille_canvas import Canvas
from tui.widgets.label_value import LONGEST, pair
from tui.widgets.line_chart import Curve, curves_of, plot

BARE = Palette({})


def drawn(curves, width=60, height=16, log=False) -> list[str]:
    return plot(curves, width, height, log, BARE, "no value yet").plain.split("\n")


def falling(count=100) -> Curve:
    steps = list(range(1, count + 1))
    return Curve("train loss", steps, [1 + 2 * math.exp(-step / 20) for step in steps], "train")


def test_each_dot_has_its_place_in_the_cell():
    canvas = Canvas(1, 1)
    for y in range(4):
        for x in range(2):
            alone = Canvas(1, 1)
            alone.dot(x, y)
            assert alone.rows()[0][0][0] == "⠁⠈⠂⠐⠄⠠⡀⢀"[2 * y + x]
            canvas.dot(x, y)
    assert canvas.rows() == [[("⣿", 0)]]


def test_dots_outside_are_left_out():
    canvas = Canvas(2, 2)
    for x, y in ((-1, 0), (0, -1), (4, 0), (0, 8)):
        canvas.dot(x, y)
    assert canvas.rows() == [[(" ", -1)] * 2] * 2


@pytest.mark.parametrize(
    "ends", [(0, 0, 7, 3), (7, 3, 0, 0), (0, 11, 7, 0), (3, 0, 3, 11), (0, 5, 7, 5), (2, 2, 2, 2)]
)
def test_a_line_has_no_gap_and_both_ends(ends):
    dots: list[tuple[int, int]] = []

    class Noting(Canvas):
        def dot(self, x: int, y: int, owner: int = 0) -> None:
            dots.append((x, y))

    Noting(4, 3).line(*ends)
    assert dots[0] == ends[:2] and dots[-1] == ends[2:]
    steps = itertools.pairwise(dots)
    assert all(max(abs(ax - bx), abs(ay - by)) == 1 for (ax, ay), (bx, by) in steps)


@pytest.mark.parametrize("width", [17, 40, 60, 200])
@pytest.mark.parametrize("height", [4, 8, 30])
@pytest.mark.parametrize("log", [False, True])
def test_the_chart_fills_its_place_exactly(width, height, log):
    lines = drawn([falling()], width, height, log)
    assert len(lines) == height
    assert all(len(line) <= width for line in lines[1:])


def test_the_curve_goes_from_the_upper_left_to_the_lower_right():
    plots = [line[9:] for line in drawn([falling()])[1:-2]]
    assert plots[0][0] != " " and plots[0][-1] == " "
    assert plots[-1][-1] != " " and plots[-1][0] == " "


def test_the_axes_name_round_values():
    lines = drawn([falling()])
    labels = [line[:8].strip() for line in lines[1:-2] if line[:8].strip()]
    assert labels == ["2.5", "2", "1.5"]
    assert "50" in lines[-1] and "step" in lines[-1]


def test_a_logarithmic_axis_names_powers_of_ten():
    lines = drawn([Curve("x", [1, 2, 3], [1e-3, 1.0, 1e3], "train")], log=True)
    assert {"1000", "1", "0.001"} <= {line[:8].strip() for line in lines}
    assert "log scale" in lines[0]


def test_what_cannot_be_drawn_is_left_out():
    curve = Curve("x", [1, 2, 3, 4], [math.nan, math.inf, 2.0, 1.0], "train")
    assert len(drawn([curve])) == 16
    assert drawn([Curve("x", [1], [math.nan], "train")]) == ["no value yet"]
    assert drawn([Curve("x", [1, 2], [-1.0, 0.0], "train")], log=True) == ["no value yet"]
    assert drawn([]) == ["no value yet"]


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [0.0, 0.0], [-1.0, -1.0]])
def test_flat_and_single_curves_are_drawn_in_the_middle(values):
    lines = drawn([Curve("x", list(range(len(values))), values, "train")])
    assert any(0x2800 < ord(sign) <= 0x28FF for line in lines for sign in line)


def test_smoothing_keeps_the_validation_as_it_is():
    trial = state_of(study_events(ends=["complete"]), no_card()).studies["tidy-7b"].trials[0]
    raw, smooth = curves_of(trial, False), curves_of(trial, True)
    assert raw[1].values == smooth[1].values
    assert list(raw[0].values) != list(smooth[0].values)
    assert "smooth" in smooth[0].label


@pytest.mark.parametrize("width", [16, 20, 44, 100])
def test_a_value_is_never_what_is_cut(width):
    line = pair(Text("gradient_accumulation"), Text("0.0001235"), width)
    assert line.cell_len == min(width, LONGEST)
    assert line.plain.endswith("0.0001235")


def test_a_mark_is_a_line_with_its_step_where_no_curve_is():
    curve = falling()
    rows = plot([curve], 60, 16, False, BARE, "", [Mark(50, "learning_rate halved")]).plain.split("\n")[1:-2]
    bare = plot([curve], 60, 16, False, BARE, "").plain.split("\n")[1:-2]
    places = {row.index("┊") for row in rows if "┊" in row}
    assert len(places) == 1 and "┊50" in rows[0]
    assert [row.replace("┊50", "   ").replace("┊", " ") for row in rows] == bare, (
        "no dot of the curve is lost"
    )


@pytest.mark.parametrize("step", [1, 100, 0, 101, 10**9])
def test_a_mark_at_an_end_or_beyond_it_breaks_nothing(step):
    rows = plot([falling()], 60, 16, False, BARE, "", [Mark(step, "x")] * 3).plain.split("\n")
    assert len(rows) == 16 and all(len(row) <= 60 for row in rows)
    assert any("┊" in row for row in rows) == (1 <= step <= 100)
