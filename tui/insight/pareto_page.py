"""The Pareto front of several objectives, or the ranking by one. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.spec.knob_table import KNOBS
from core.contract.state import best_and_counts, reference_values
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from tui.column_format import write_knob
from tui.insight.page_context import (
    HERE,
    RESULT,
    Page,
    View,
    explain_no_values,
    find_window,
    format_value,
    make_row,
)
from tui.number_text import GLYPHS, draw_bar, format_number
from tui.widgets.xy_plot import AXIS, Plane, add_axes, list_axis_labels, list_row_labels, make_axis

BAR = 12  # cells


def draw_lines(view: View) -> list[Text]:
    """With one objective the ranking; else the plot of two of them, and the front below."""
    if len(view.study.objectives) == 1:
        return _draw_ranking(view)
    front = best_and_counts.find_front(view.study)
    if not front:
        return explain_no_values(view)
    high = max(8, view.height // 2, view.height - len(front) - 1)
    return [*_plot(view, front, high), *_draw_front(view, front, view.height - high)]


def _find_other(view: View) -> int:
    """The objective that is drawn against the chosen one."""
    return (view.objective + 1) % len(view.study.objectives)


def _plot(view: View, front: list[s.Trial], high: int) -> list[Text]:
    complete = [trial for trial in view.study.trials.values() if trial.state == s.COMPLETE and trial.values]
    x, y = view.objective, _find_other(view)
    names = [sanitize(metric, 30) for metric, _ in view.study.objectives]
    across, up = (
        make_axis([trial.values[x] for trial in complete]),
        make_axis([trial.values[y] for trial in complete]),
    )
    plane = Plane(view.width - AXIS - 1, high - 4)
    ahead = {trial.number for trial in front}
    for trial in sorted(complete, key=lambda trial: (trial.number in ahead, trial.number == view.focus)):
        meaning = "cursor" if trial.number == view.focus else "good" if trial.number in ahead else "muted"
        sign = HERE if meaning == "cursor" else RESULT if trial.number in ahead else "·"
        plane.mark(across.find_position(trial.values[x]), up.find_position(trial.values[y]), sign, meaning)
    head = Text(f"{RESULT} on the front   ", style=view.look["good"], no_wrap=True, overflow="ellipsis")
    head.append(f"· dominated   {len(front)} of {len(complete)} trials", style=view.look["muted"])
    area = reference_values.compute_hypervolume(view.study)
    if area is not None:
        head.append(f"   hypervolume {area:.4g} up to the references", style=view.look["muted"])
    directions = [direction for _, direction in view.study.objectives]
    caption = f"{names[y]} ({directions[y]}, up) against {names[x]} ({directions[x]}, across)"
    axis = list_axis_labels(across.low, across.high, plane.width)
    return [head, *add_axes(plane, list_row_labels(up, plane.height), axis, caption, view.look)]


def _draw_front(view: View, front: list[s.Trial], room: int) -> list[Text]:
    metrics = [sanitize(metric, 18) for metric, _ in view.study.objectives]
    head = Text("trial " + "".join(f"{metric:>18} " for metric in metrics) + "knobs", style="", no_wrap=True)
    head.stylize("bold")
    numbers = [trial.number for trial in front]
    rows = [head]
    for number_ in numbers[find_window(numbers, view.focus, room - 1)]:
        trial = view.study.trials[number_]
        cells = [(f"#{number_}", -5, "good")]
        cells += [(format_number(value), -18, "") for value in trial.values]
        rows.append(
            make_row(
                view,
                number_,
                [
                    *cells,
                    (format_params(view.study, trial), max(10, view.width - 8 - 19 * len(metrics)), "muted"),
                ],
            )
        )
    return rows


def _draw_ranking(view: View) -> list[Text]:
    points = i.order_points(view.study)
    if not points:
        return explain_no_values(view)
    values = [point.value for point in points if not point.early] or [point.value for point in points]
    best, worst = values[0], values[-1]
    numbers = [point.trial for point in points]
    head = Text(f"{'rank':>4} {'trial':>6} {view.metric[:12]:>12} {'':<{BAR}} knobs", style="", no_wrap=True)
    head.stylize("bold")
    rows = [head]
    by_number = {point.trial: (place, point) for place, point in enumerate(points, 1)}
    for number_ in numbers[find_window(numbers, view.focus, view.height - 1)]:
        place, point = by_number[number_]
        share = (worst - point.value) / (worst - best) if worst != best else 1.0
        full, empty = draw_bar(share, BAR)
        state = s.PRUNED if point.early else s.COMPLETE
        rank = "–" if point.early else str(place)
        rows.append(
            make_row(view, number_, [
                (rank, -4, "" if point.early else "bold"), (f"#{number_} {GLYPHS[state]}", -6, state),
                (format_value(point.value), -12, ""), (full + empty, BAR, state),
                (format_params(view.study, view.study.trials[number_]),
                 max(10, view.width - BAR - 27), "muted"),
            ])
        )  # fmt: skip
    return rows


def format_params(study: s.Study, trial: s.Trial) -> str:
    """The searched knobs of a trial in one line."""
    return "  ".join(
        f"{_shorten_name(name)} {sanitize(write_knob(study, name, value), 16)}"
        for name, value in best_and_counts.list_searched_values(study, trial).items()
    )


def _shorten_name(name: str) -> str:
    return KNOBS[name].short or name if name in KNOBS else sanitize(name, 12)


def list_trials(view: View) -> list[int]:
    """The front, or the ranking."""
    if len(view.study.objectives) > 1:
        return [trial.number for trial in best_and_counts.find_front(view.study)]
    return [point.trial for point in i.order_points(view.study)]


PAGE = Page("front", draw_lines, list_trials)
