"""Charts as cells: the dots, the axes, what is in front, and when a chart is drawn again."""

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from core.contract.state.thinned_series import Series, add_all
from tests.tui.scene import no_card, state_of, study_events
from tui.charts.braille_canvas import Canvas
from tui.charts.cell_diff_widget import find_changed_runs
from tui.charts.chart_curve import RATE, ChartData, Curve, Sign, format_tick, write_figure
from tui.charts.chart_grid import arrange
from tui.charts.chart_picture import LABELS, draw_chart, make_picture_key
from tui.charts.chart_view import SMOOTHING, ChartView
from tui.trial.metric_charts import make_metric_charts
from tui.widgets.label_value import LONGEST, format_pair
from tui.widgets.line_chart import list_curves

WHOLE, LOG = ChartView(), ChartView(log_y=True)


def chart(*curves: Curve, **more) -> ChartData:
    return ChartData("loss", curves, **more)


def cells(*curves: Curve, width=60, height=16, view=WHOLE, **more):
    return draw_chart(chart(*curves, **more), view, width, height)


def drawn(*curves: Curve, **more) -> list[str]:
    return ["".join(character for character, _ in row) for row in cells(*curves, **more)]


def inside(lines: list[str]) -> list[str]:
    """The plot alone, without frame and labels."""
    return [line[LABELS + 1 : -1] for line in lines[1:-1]]


def has_dots(lines: list[str]) -> bool:
    return any(0x2800 < ord(sign) <= 0x28FF for line in lines for sign in line)


def falling(count=100) -> Curve:
    steps = list(range(1, count + 1))
    return Curve("train", steps, [1 + 2 * math.exp(-step / 20) for step in steps], "train", noisy=True)


def test_each_dot_has_its_place_in_the_cell():
    canvas = Canvas(1, 1)
    for y in range(4):
        for x in range(2):
            alone = Canvas(1, 1)
            alone.draw_dot(x, y)
            assert alone.list_rows()[0][0][0] == "⠁⠈⠂⠐⠄⠠⡀⢀"[2 * y + x]
            canvas.draw_dot(x, y)
    assert canvas.list_rows() == [[("⣿", 0)]]


def test_dots_outside_are_left_out():
    canvas = Canvas(2, 2)
    for x, y in ((-1, 0), (0, -1), (4, 0), (0, 8)):
        canvas.draw_dot(x, y)
    assert canvas.list_rows() == [[(" ", -1)] * 2] * 2


@pytest.mark.parametrize(
    "ends", [(0, 0, 7, 3), (7, 3, 0, 0), (0, 11, 7, 0), (3, 0, 3, 11), (0, 5, 7, 5), (2, 2, 2, 2)]
)
def test_a_line_has_no_gap_and_both_ends(ends):
    dots: list[tuple[int, int]] = []

    class Noting(Canvas):
        def draw_dot(self, x: int, y: int, owner: int = 0) -> None:
            dots.append((x, y))

    Noting(4, 3).draw_line(*ends)
    assert dots[0] == ends[:2] and dots[-1] == ends[2:]
    steps = itertools.pairwise(dots)
    assert all(max(abs(ax - bx), abs(ay - by)) == 1 for (ax, ay), (bx, by) in steps)


@given(st.integers(-2, 12), st.integers(-3, 20), st.integers(-3, 20))
def test_a_column_has_the_dots_of_the_line_from_its_top_to_its_bottom(x, y, other):
    fast, slow = Canvas(5, 4), Canvas(5, 4)
    fast.draw_column(x, min(y, other), max(y, other))
    slow.draw_line(x, y, x, other)
    assert fast.list_rows() == slow.list_rows()


@pytest.mark.parametrize("width", [10, 17, 40, 60, 200])
@pytest.mark.parametrize("height", [3, 4, 8, 30])
@pytest.mark.parametrize("view", [ChartView(), LOG, ChartView(log_x=True, cursor=3.0, smoothing=0.9)])
def test_the_chart_fills_its_place_exactly(width, height, view):
    lines = drawn(falling(), width=width, height=height, view=view, signs=(Sign(50, "edit", "x"),))
    assert [len(line) for line in lines] == [width] * height


def test_the_curve_goes_from_the_upper_left_to_the_lower_right():
    plot = inside(drawn(falling()))
    assert plot[0][0] != " " and plot[0][-1] == " "
    assert plot[-1][-1] != " " and plot[-1][0] == " "


def test_the_axes_name_round_values_and_the_title_the_newest_one():
    lines = drawn(falling())
    assert {"3", "2", "1"} <= {line[1:LABELS].strip() for line in lines[1:-1]}
    assert "50" in lines[-1] and "loss 1.013" in lines[0]


def test_a_logarithmic_axis_names_powers_of_ten():
    lines = drawn(Curve("x", [1, 2, 3], [1e-3, 1.0, 1e3], "train"), view=LOG)
    assert {"1000", "1", "0.001"} <= {line[1:LABELS].strip() for line in lines}
    steps = [10.0**power for power in range(7)]
    assert "100" in drawn(Curve("x", steps, steps, "train"), view=ChartView(log_x=True))[-1]


def test_what_cannot_be_drawn_is_left_out():
    assert has_dots(drawn(Curve("x", [1, 2, 3, 4], [math.nan, math.inf, 2.0, 1.0], "train")))
    for lines in (
        drawn(Curve("x", [1], [math.nan], "train")),
        drawn(Curve("x", [1, 2], [-1.0, 0.0], "train"), view=LOG),
        drawn(),
    ):
        assert "no value yet" in "".join(lines) and not has_dots(lines)


def test_a_part_without_values_is_not_a_chart_without_values():
    last = Curve("x", [8], [2.0], "train")
    assert "no value in this part" in "".join(drawn(last, view=ChartView(window=(0.0, 4.0))))


def test_a_place_between_two_steps_has_no_label():
    steps = Curve("x", [0, 1, 2], [3.0, 2.0, 1.0], "train")
    assert "".join(re.findall(r"\d", drawn(steps, width=120)[-1])) == "012"


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [0.0, 0.0], [-1.0, -1.0]])
def test_flat_and_single_curves_are_drawn(values):
    assert has_dots(drawn(Curve("x", list(range(len(values))), values, "train")))


def test_a_spike_of_one_reading_among_thousands_is_drawn():
    steps, values = list(range(5000)), [1.0] * 5000
    values[1234], values[4321] = 2.0, 0.5
    plot = inside(drawn(Curve("x", steps, values, "train")))
    assert plot[0].strip() and plot[-1].strip()


def test_a_spike_that_the_state_left_out_is_drawn_from_its_extremes():
    series = add_all(Series(), [(step, 5.0 if step == 1234 else 1.0) for step in range(3000)])
    assert 5.0 not in series.values
    curve = Curve("x", series.steps, series.values, "train", lows=series.lows, highs=series.highs)
    assert inside(drawn(curve))[0].strip()


def test_validation_does_not_paint_over_training():
    """In a small plot both curves lie in the same cells: those show the training loss."""
    steps = list(range(200))
    train = Curve("train", steps, [2 + math.sin(step) for step in steps], "train")
    held = Curve("eval", steps[::20], [2.0] * 10, "eval", "•")
    alone, both = cells(train, width=40, height=8), cells(train, held, width=40, height=8)
    changed = [
        was
        for before, after in zip(alone[1:-1], both[1:-1], strict=True)
        for was, now in zip(before, after, strict=True)
        if was != now and now[0] != "•"
    ]
    assert all(character == " " for character, _ in changed)
    assert any(cell == ("•", "eval") for row in both for cell in row)


def test_preview_and_detail_show_the_same_number_for_the_same_thing():
    study = state_of(study_events(ends=["complete"]), no_card()).studies["tidy-7b"]
    trial = study.trials[0]
    preview = drawn(*list_curves(trial, True), view=ChartView(smoothing=0.9))[0]
    detail = "".join(
        cell for cell, _ in draw_chart(make_metric_charts(study, trial, "steps")[0], ChartView(), 60, 9)[0]
    )
    for metric in ("train/loss", "eval/loss"):
        figure = f"{trial.series[metric].last:.3f}"
        assert figure in preview and figure in detail


def test_smoothing_is_a_slider_with_ends_and_keeps_the_validation_as_it_is():
    trial = state_of(study_events(ends=["complete"]), no_card()).studies["tidy-7b"].trials[0]
    train, held = list_curves(trial, True)
    view = ChartView()
    seen = [train.list_drawn_points(view := view.change_smoothing(1)) for _ in range(8)]
    assert view.smoothing == SMOOTHING[-1] and view.change_smoothing(-99).smoothing == 0
    assert seen[0] != seen[1] and seen[-1] == seen[-2]
    assert held.list_drawn_points(view) == held.list_drawn_points(ChartView())


def test_the_cursor_shows_the_measured_values_at_its_place():
    lines = drawn(falling(), view=ChartView(cursor=50.2, smoothing=0.9))
    assert f"loss {1 + 2 * math.exp(-50 / 20):.3f}" in lines[0] and " 50 " in lines[-1]
    assert any("│" in line for line in inside(lines)) and any("◆" in line for line in lines)


def test_what_happened_is_marked_and_an_edit_is_a_line_that_hides_no_dot():
    happened = tuple(
        Sign(at, kind, "") for at, kind in ((30, "checkpoint"), (50, "edit"), (70, "spike"), (99, "best"))
    )
    bare, lines = inside(drawn(falling())), inside(drawn(falling(), signs=happened))
    assert [sign for sign in lines[0] if sign in "▪✎▲★"] == list("▪✎▲★")
    assert "✎50" in lines[0]
    assert [row.replace("┊", " ") for row in lines[1:]] == bare[1:] and any("┊" in row for row in lines)


@pytest.mark.parametrize("at", [0, 101, 10**9, -5])
def test_a_mark_at_an_end_or_beyond_it_breaks_nothing(at):
    lines = drawn(falling(), signs=(Sign(at, "edit", "x"),) * 3)
    assert any("✎" in line for line in lines) == (at == 0)


def test_a_chart_is_drawn_again_only_when_a_new_column_of_dots_is_due():
    """On 84 columns of dots for 1000 steps, most steps change nothing of the key."""
    values = [1.0] * 1000
    keys = [
        make_picture_key(
            chart(Curve("train", range(step), values[:step], "train"), planned=1000), ChartView(), 51
        )
        for step in range(801, 1000)
    ]
    assert 15 <= sum(a != b for a, b in itertools.pairwise(keys)) <= 20
    assert make_picture_key(chart(falling()), ChartView(), 51) != make_picture_key(chart(falling()), LOG, 51)


def test_only_runs_of_changed_cells_are_sent():
    row = [(".", "")] * 40
    other = list(row)
    other[3] = other[5] = other[30] = ("x", "")
    assert find_changed_runs([row, row], [row, other]) == [(1, 3, 3), (1, 30, 1)]
    assert find_changed_runs([row], [list(row)]) == []


@pytest.mark.parametrize(
    ("count", "width", "height", "wanted", "columns", "rows"),
    [
        (7, 80, 11, 0, 2, 1), (7, 120, 24, 0, 3, 3), (25, 200, 60, 0, 4, 4), (2, 200, 60, 0, 2, 1),
        (7, 80, 30, 1, 1, 1), (7, 80, 30, 4, 4, 2), (25, 40, 10, 3, 2, 2), (1, 10, 2, 0, 1, 1),
    ],
)  # fmt: skip
def test_charts_are_arranged_by_the_room_or_as_wanted(count, width, height, wanted, columns, rows):
    assert arrange(count, width, height, wanted) == (columns, rows)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(4.886e-4, RATE, "4.89e-4"), (9.1e9, "bytes", "8.48G"), (1.1394, "", "1.139"), (5213.0, "", "5213"),
     (152_340.0, "", "152.3k"), (None, "", "–"),
     (0.6123, "fraction", "61.2%")],
)  # fmt: skip
def test_figures_are_short_and_of_one_width_for_each_unit(value, unit, shown):
    assert write_figure(value, unit) == shown


@given(st.lists(st.floats(), min_size=1, max_size=30), st.booleans(), st.booleans())
def test_no_value_breaks_a_chart(values, log_x, log_y):
    view = ChartView(log_x=log_x, log_y=log_y, smoothing=0.5, cursor=3.0)
    lines = drawn(Curve("x", range(len(values)), values, "train", noisy=True), view=view)
    assert [len(line) for line in lines] == [60] * 16


@given(st.floats(-1e12, 1e12), st.sampled_from(["", RATE, "bytes"]))
def test_a_label_of_the_axis_has_room(value, unit):
    assert len(format_tick(value, unit)) < LABELS


@pytest.mark.parametrize("width", [16, 20, 44, 100])
def test_a_value_is_never_what_is_cut(width):
    line = format_pair(Text("gradient_accumulation"), Text("0.0001235"), width)
    assert line.cell_len == min(width, LONGEST)
    assert line.plain.endswith("0.0001235")
