"""The race: the curves of all shown trials on one axis, coloured by rank, with the pruner's border. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison
from core.contract.views.axis_scale import AxisScale
from core.contract.views.trials.pruner_border import Border, Standing, judge_standing
from core.contract.views.trials.trial_fields import read_metric
from tui.charts.braille_canvas import find_column, find_row
from tui.number_text import format_duration, format_loss
from tui.theme_colors import Palette
from tui.widgets.xy_plot import AXIS, Plane, add_axes, format_short, list_axis_labels, list_row_labels

LEAST_LINES = 8  # below which a plot says nothing
TALL = 36  # lines of table and race from which the race has a third of them however many trials there are
SHOWN = 0.85  # share of all values that the axis holds
ROOMY = 92  # cells of a head in which there is room for all words
MOST_RACING = 1000  # rows of a table: with more, a frame has no time to draw a race as well
MOST_CURVES = 200  # the best; more would be one grey area
ENDED_EARLY = (s.PRUNED, s.FAILED, s.INFEASIBLE)
BANDS = ("good", "primary", "accent", "muted")  # first, best third, second third, the rest and ended early
CURSOR, BORDER = "warning", "limit"
LABEL = 6  # cells at the right for numbers at the curves' ends
Places = list[tuple[float, float]]


@dataclass(frozen=True)
class Race:
    """What a race is drawn from: the trials, the one under the cursor, the axis and the border."""

    study: s.Study
    numbers: Sequence[int]
    cursor: int | None
    along: trial_comparison.Along
    border: Border

    @property
    def metric(self) -> str:
        """Return the objective; the training loss until two trials have been evaluated twice."""
        objective = self.study.objectives[0][0]
        curves = [self.study.trials[number].series.get(objective) for number in self.numbers]
        curve_count = sum(curve is not None and len(curve.values) > 1 for curve in curves)
        return objective if curve_count else "train/loss"

    @property
    def direction(self) -> str:
        """Return which values are better."""
        objective, direction = self.study.objectives[0]
        return direction if self.metric == objective else "minimize"

    @property
    def is_bordered(self) -> bool:
        """Tell whether the pruner's border is on this axis, and of this metric."""
        return self.along == "steps" and self.metric == self.study.objectives[0][0]


def find_race_height(lines: int, rows: int) -> int:
    """Return how many of the ``lines`` the race gets below a table of ``rows``; 0 for none."""
    free = lines - rows - 1  # the table's head
    if free >= LEAST_LINES:
        return free
    return lines // 3 if lines >= TALL and rows <= MOST_RACING else 0


def rank_trials(race: Race) -> list[int]:
    """Return the numbers by the best value so far, the best first; those without one are left out."""
    metric, direction = race.metric, race.direction
    ranked = []
    for number in race.numbers:
        value = read_metric(race.study, race.study.trials[number], metric, "best", direction)
        if value is not None:
            ranked.append((value if direction == "minimize" else -value, number))
    return [number for _, number in sorted(ranked)]


def make_race_lines(race: Race, room: tuple[int, int], look: Palette) -> list[Text]:
    """Head, plot and axis in ``room`` cells and lines."""
    ranked = rank_trials(race)
    drawn_curves = ranked[:MOST_CURVES]
    if race.cursor in ranked and race.cursor not in drawn_curves:
        drawn_curves.append(race.cursor)
    curves = {number: _make_curve(race, number) for number in drawn_curves}
    values = [y for curve in curves.values() for _, y in curve]
    head = _make_head(race, ranked, room[0], look)
    if not values:
        return [head, Text(" no trial has been evaluated twice", style=look["muted"])]
    points = [(float(step), value) for step, value in race.border.points] if race.is_bordered else []
    scale = make_race_scale(values, race.direction)
    last = max(curve[-1][0] for curve in curves.values() if curve) or 1.0
    plane = Plane(max(8, room[0] - AXIS - 1), max(3, room[1] - 3))
    inside = max(0.2, 1.0 - LABEL / plane.width)
    for number in reversed(drawn_curves):
        if number != race.cursor:
            _draw(plane, _place_curve(curves[number], scale, last, inside), _find_band(race, ranked, number))
    _draw_border(plane, _place_curve(points, scale, last, inside), race.border.stepwise)
    _draw(plane, _place_curve(curves.get(race.cursor or 0, []), scale, last, inside), CURSOR)
    _name_ends(
        plane,
        {number: _place_curve(curves[number], scale, last, inside) for number in drawn_curves},
        race,
        ranked,
    )
    along = _make_axis(race.along, last, plane.width, inside)
    return [head, *add_axes(plane, list_row_labels(scale, plane.height), along, "", look)[:-1]]


def _make_curve(race: Race, number: int) -> Places:
    """Places along the axis and values; none where the trial has no such axis."""
    trial = race.study.trials[number]
    series, along = trial.series.get(race.metric), trial_comparison.make_scale(trial, race.along)
    if series is None or along is None:
        return []
    pairs = zip(series.steps, series.values, strict=True)
    return [(along(step), value) for step, value in pairs if math.isfinite(value)]


def make_race_scale(values: Sequence[float], direction: str) -> AxisScale:
    """Return the axis from the best value to the worst but for the worst part: how all curves begin would
    leave no room for how they end."""
    ordered = sorted(values, reverse=direction != "minimize")
    return AxisScale.over((ordered[0], ordered[int(SHOWN * (len(ordered) - 1))]))


def _place_curve(curve: Places, scale: AxisScale, last: float, inside: float) -> Places:
    """The places of a curve from where it comes onto the axis; one that never does stands on the edge."""
    visible = [(x, y) for x, y in curve if scale.contains(y)] or curve
    return [(inside * min(1.0, x / last), scale.find_position(y)) for x, y in visible]


def _find_band(race: Race, ranked: Sequence[int], number: int) -> str:
    """The colour of a trial's rank."""
    if race.study.trials[number].state in ENDED_EARLY:
        return BANDS[-1]
    place = ranked.index(number)
    return BANDS[0] if not place else BANDS[1 + min(2, 3 * place // len(ranked))]


def _draw(plane: Plane, curve: Places, meaning: str) -> None:
    if curve:
        plane.draw_line(curve, meaning)


def _draw_border(plane: Plane, points: Places, stepwise: bool) -> None:
    """A dashed line through the border's points; of rungs a dash around each."""
    if not points:
        return
    spans = [(x - 1.5 / plane.width, x + 1.5 / plane.width, y, y) for x, y in points] if stepwise else [
        (x0, x1, y0, y1) for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False)
    ]  # fmt: skip
    for x0, x1, y0, y1 in spans:
        first, last = find_column(max(0.0, x0), plane.width), find_column(min(1.0, x1), plane.width)
        for column in range(first, last + 1):
            share = (column - first) / max(1, last - first)
            plane.mark((column + 0.5) / plane.width, y0 + share * (y1 - y0), "╌", BORDER, (CURSOR, BANDS[0]))


def _name_ends(plane: Plane, curves: dict[int, Places], race: Race, ranked: Sequence[int]) -> None:
    """The numbers of the trial under the cursor and of the best one at the ends of their curves, in lines of
    their own."""
    used_places: list[tuple[int, int]] = []
    for number in dict.fromkeys((race.cursor, *ranked[:1])):
        if number is None or not curves.get(number):
            continue
        x, y = curves[number][-1]
        label, row = f"●#{number}", find_row(y, plane.height)
        first = min(find_column(x, plane.width), plane.width - len(label))
        if any(row == used_row and abs(first - start) <= len(label) for start, used_row in used_places):
            row += 1 if row + 1 < plane.height else -1
        used_places.append((first, row))
        for place, sign in enumerate(label):
            plane.put(first + place, row, sign, CURSOR if number == race.cursor else BANDS[0])


def _make_axis(
    along: trial_comparison.Along, last: float, width: int, inside: float
) -> list[tuple[float, str]]:
    if along == "time":
        return [(inside * part / 4, format_duration(last * part / 4)) for part in range(5)]
    if last < 1:
        return [(inside, format_short(last))]
    labels = list_axis_labels(0, last, round(width * inside), whole=True)
    return [(place * inside, label) for place, label in labels]


def _make_head(race: Race, ranked: Sequence[int], room: int, look: Palette) -> Text:
    """What is drawn, and how the trial under the cursor stands."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(" race ", style=f"bold {look['primary']}")
    line.append(f"{sanitize(race.metric, 40)} by {race.along}  ", style=look["muted"])
    if race.cursor is not None and race.cursor in ranked:
        line.append(f"#{race.cursor}", style=f"bold {look[CURSOR]}")
        line.append(
            f" is {format_ordinal(ranked.index(race.cursor) + 1)} of {len(ranked)}", style=look["info"]
        )
    text, meaning = describe_border(race, room >= ROOMY)
    line.append(f" · {text}" if text else "", style=look[meaning])
    return line


def describe_border(race: Race, roomy: bool = True) -> tuple[str, str]:
    """Return how the trial under the cursor stands to the pruner's border, or why there is none."""
    trial = race.study.trials.get(race.cursor) if race.cursor is not None else None
    if race.border.why_none:
        return race.border.why_none, "muted"
    if not race.is_bordered:
        return "", "muted"
    if trial is None or trial.state in s.ENDED:
        return "╌ the pruner's border", "muted"
    standing = judge_standing(race.study, trial)
    if standing is None:
        return "╌ the pruner's border, not reached yet", "muted"
    direction = race.study.objectives[0][1]
    return describe_standing(standing, direction, roomy), "error" if standing.behind > 0 else "good"


def describe_standing(standing: Standing, direction: str, roomy: bool) -> str:
    """Return such as "now 0.041 above the border, judged at step 80"."""
    over = standing.behind > 0 if direction == "minimize" else standing.behind < 0
    side = "above" if over else "below"
    judged_text = f", judged at step {standing.judged_at}" if standing.judged_at else ", not judged again"
    return f"now {format_loss(abs(standing.behind))} {side}{' the border' if roomy else ''}{judged_text}"


def format_ordinal(place: int) -> str:
    """Return 1st, 2nd, 3rd, 4th …"""
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
