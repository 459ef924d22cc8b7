"""The columns of the trial table: what each shows of a trial, and which of them fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.contract.state import engine_state as s
from core.contract.state import study_progress, unrated_trials
from core.contract.text.sanitize import sanitize
from core.contract.views.trials.trial_fields import Field, find_field
from core.contract.wire.memory_forecast import Verdict
from tui.column_format import choose_format
from tui.number_text import ASKED, GLYPHS, draw_bar, draw_sparkline, format_duration
from tui.study_table.column_widths import ColumnMeasures, find_margin
from tui.study_table.table_choice import CURVE, NOW, SIGNS, VS_BEST, TableChoice, list_default_columns
from tui.widgets.steering_row_signs import LONGEST_SIGNS, SIGN_CELLS, Piece, list_brief_signs, list_signs

ROOMY = 100  # cells of a table from which progress and signs have their long form
GAP = 2  # cells between columns
CURVE_LEAST, CURVE_MOST = 7, 24
LABEL_MOST = 16
ENDED_EARLY = (s.PRUNED, s.FAILED, s.INFEASIBLE)
RANKS = {"number": 0, "state": 0, SIGNS: 1, "progress": 1, "left": 4, VS_BEST: 6, NOW: 6, "elapsed": 5}
NAMES = {"number": "# ", SIGNS: "", VS_BEST: "vs best", NOW: "since best", "by": "queued by"}


@dataclass(frozen=True)
class RowView:
    """A trial as a row is drawn from it: is it the best, what the queue says of it, and the first objective
    of the best trial."""

    study: s.Study
    trial: s.Trial
    best: bool = False
    verdict: Verdict | None = None
    best_value: float | None = None


@dataclass(frozen=True)
class Column:
    """One column; a lower ``rank`` stays longer when the terminal is narrow."""

    key: str
    label: str
    width: int
    rank: int
    draw: Callable[[RowView], list[Piece]]
    right: bool = False


def choose_columns(study: s.Study, measures: ColumnMeasures, choice: TableChoice, width: int) -> list[Column]:
    """The columns that fit into ``width`` cells, in their order. Those that a person has chosen give way from
    the last on, the others by what they tell."""
    keys = list_chosen_keys(study, choice.columns)
    made_columns = [_make(study, measures, key, width) for key in keys]
    candidates = [_mark_order(column, choice) for column in made_columns if column is not None]
    kept_places: set[int] = set()
    room = width - 1 + GAP  # a cell before the first column; no gap is needed after the last
    order = (
        enumerate(candidates)
        if choice.columns is not None
        else sorted(enumerate(candidates), key=lambda pair: pair[1].rank)
    )
    for index, column in order:
        if room >= column.width + GAP:
            room -= column.width + GAP
            kept_places.add(index)
    return _stretch(
        [column for index, column in enumerate(candidates) if index in kept_places], measures, room
    )


def _mark_order(column: Column, choice: TableChoice) -> Column:
    """The column with a triangle in its head where the table is ordered by it."""
    if column.key != (choice.order or ("number" if choice.descending else "")):
        return column
    label = column.label.rstrip() + ("▼" if choice.descending else "▲")
    return replace(column, label=label, width=max(column.width, len(label)))


def _stretch(fitting: list[Column], measures: ColumnMeasures, room: int) -> list[Column]:
    """Give what is left to the sparklines."""
    curves = [column for column in fitting if column.key.startswith(CURVE)]
    if not curves:
        return fitting
    extra_cells = min(CURVE_MOST - CURVE_LEAST, room // len(curves))
    return [
        _make_curve(measures, column.key, CURVE_LEAST + extra_cells) if column in curves else column
        for column in fitting
    ]


def _make(study: s.Study, measures: ColumnMeasures, key: str, width: int) -> Column | None:
    rank, roomy = _rank(study, key), width >= ROOMY
    if key == SIGNS:
        cells = min(LONGEST_SIGNS, measures.signs) if roomy else min(SIGN_CELLS, measures.signs)
        return Column(key, "", cells, rank, _make_signs(roomy)) if measures.signs else None
    if key in (NOW, VS_BEST):
        return _make_difference(study, measures, key, rank)
    if key.startswith(CURVE):
        return _make_curve(measures, key, CURVE_LEAST)
    if key == "state":
        return Column(key, "state", max(10, measures.state), rank, _make_state)
    if key == "progress":
        cells = 13 if roomy else 12
        return Column(key, "progress", cells, rank, _make_progress(cells))
    if key == "number":
        cells = max(4, 1 + len(str(max(study.trials, default=0))))
        return Column(key, "# ", cells, rank, _make_number(cells), right=True)
    field = measures.fields.get(key)
    return _make_value(study, measures, key, field, rank) if field is not None else None


def _rank(study: s.Study, key: str) -> int:
    if key in RANKS:
        return RANKS[key]
    if key.startswith(CURVE):
        return 3
    objectives = [f"{metric}.best" for metric, _ in study.objectives]
    if key in objectives:
        return 1 + bool(objectives.index(key))
    space = list(study.settings.space)
    place = space.index(key) if key in space else len(space)
    return 2 if place < 2 else 7 + place


def find_label(study: s.Study, key: str, field: Field | None = None) -> str:
    """Return a column's head: such as best loss, train loss, lr."""
    if key in NAMES:
        return NAMES[key]
    if key.startswith(CURVE):
        return _find_ending(key.removeprefix(CURVE))
    if field is None or not field.metric:
        return sanitize(field.label if field is not None else key, LABEL_MOST)
    objectives = [metric for metric, _ in study.objectives]
    name = field.metric.split("/")[-1] if field.metric in objectives else _find_ending(field.metric)
    return sanitize(name if field.reading == "last" else f"{field.reading} {name}", LABEL_MOST)


def _find_ending(metric: str) -> str:
    """A metric as a head says it: "train loss", where several boards have a loss."""
    board, _, name = metric.rpartition("/")
    return sanitize(f"{board} {name}" if name == "loss" else name, LABEL_MOST)


def _make_number(cells: int) -> Callable[[RowView], list[Piece]]:
    def draw(row: RowView) -> list[Piece]:
        number = f"{row.trial.number:>{cells - 1}}"
        return [(f"{number}★" if row.best else f"{number} ", "good" if row.best else "")]

    return draw


def _make_signs(roomy: bool) -> Callable[[RowView], list[Piece]]:
    return lambda row: list_signs(row.trial) if roomy else list_brief_signs(row.trial)


def _make_state(row: RowView) -> list[Piece]:
    trial = row.trial
    state = s.PAUSED if _is_interrupted(row) else trial.state
    word = ASKED.get(trial.asked, state) if trial.state in s.ON_WORKER else state
    if trial.editing and not trial.asked:
        word = "editing…"
    return [(f"{GLYPHS[state]} {word}", "warning" if trial.asked or trial.editing else state)]


def _is_interrupted(row: RowView) -> bool:
    """Tell whether the study was paused while the trial trained: it is in the queue until then."""
    return row.study.state == "paused" and row.trial.state == s.QUEUED and bool(row.trial.step)


def _make_progress(cells: int) -> Callable[[RowView], list[Piece]]:
    """The progress in steps; after the last step the current activity, and of a queued trial its wait."""

    def draw(row: RowView) -> list[Piece]:
        trial = row.trial
        if trial.pending:
            return [(_describe_scoring(trial, cells), "info")]
        if unrated_trials.is_unrated(row.study, trial):
            enough = row.study.settings.evaluate.ratings
            return [(f"rated {unrated_trials.count_ratings(trial)}/{enough}".rjust(cells), "info")]
        if trial.state == s.QUEUED and row.verdict is not None and not _is_interrupted(row):
            return [describe_wait(row.verdict)]
        if study_progress.is_evaluating(trial):
            return [(f"{study_progress.EVALUATING:>{cells}}", trial.state)]
        steps_done = min(trial.step, trial.total_steps)
        share = steps_done / trial.total_steps if trial.total_steps else 0.0
        percent = 100 * steps_done // trial.total_steps if trial.total_steps else 0
        full, empty = draw_bar(share, cells - 5)
        return [(full, trial.state), (empty, "muted"), (f" {percent:>3}%", "")]

    return draw


def describe_wait(verdict: Verdict) -> Piece:
    """Return when a queued trial fits, in few cells: "fits", "after #8", "for a slot", "never fits"."""
    text = sanitize(verdict.text, 80)
    if verdict.level == "error":
        return ("never fits", "error")
    if text.startswith("fits after "):
        return (text.removeprefix("fits ").removesuffix(" ends"), "warning")
    if text.startswith("waits for "):
        return (text.removeprefix("waits ").partition(":")[0], "warning")
    return ("alone", "warning") if "empty" in text else ("fits", "good")


def _describe_scoring(trial: s.Trial, cells: int) -> str:
    """Such as "scoring 12/36"; in percents where that is too long."""
    words = study_progress.format_scoring(trial)
    if len(words) > cells:
        words = f"scoring {100 * trial.scoring_done // max(1, trial.scoring_total):>3}%"
    return words


def _make_curve(measures: ColumnMeasures, key: str, width: int) -> Column:
    """A sparkline on the scale that all trials share; of a trial that ended early it is dim."""
    metric = key.removeprefix(CURVE)
    meaning = "train" if metric.startswith("train/") else "eval"
    low, high = measures.scale_of(metric)

    def draw(row: RowView) -> list[Piece]:
        series = row.trial.series.get(metric)
        dim = row.trial.state in ENDED_EARLY
        line = draw_sparkline(series.values if series else (), width, low, high)
        return [(line.lstrip(), "muted" if dim else meaning)]

    label = _find_ending(metric)
    label = label if len(label) <= width else label.split()[-1]
    return Column(key, label, width, 3, draw)


def _make_value(study: s.Study, measures: ColumnMeasures, key: str, field: Field, rank: int) -> Column:
    """A knob, a metric with its ± where that is known, or another field."""
    form, margin_cells = measures.format(key), measures.find_margin_cells(key)
    label = find_label(study, key, field)
    is_left_aligned = field.kind == "text"

    def draw(row: RowView) -> list[Piece]:
        trial = row.trial
        value = field.value(row.study, trial)
        edited = key in trial.params and value != trial.params[key]
        complete = bool(field.metric) and trial.state == s.COMPLETE
        pieces = [(form.write(value), "warning" if edited else "bold" if complete else "")]
        margin = find_margin(trial, field, value) if margin_cells else None
        text = f" ±{form.write(margin)}" if margin is not None else ""
        return [*pieces, (text.ljust(margin_cells), "muted")] if margin_cells else pieces

    if field.kind == "seconds":
        return Column(key, label, max(len(label), 6), rank, _make_time(field), right=True)
    width = max(len(label), measures.find_width(key), 4)
    return Column(key, label, width, rank, draw, right=not is_left_aligned)


def _make_time(field: Field) -> Callable[[RowView], list[Piece]]:
    """A duration; of a trial that is over nothing is left, and nothing is shown."""

    def draw(row: RowView) -> list[Piece]:
        seconds = field.value(row.study, row.trial)
        blank = seconds is None and (field.name != "left" or row.trial.state in s.ENDED)
        return [("" if blank else format_duration(seconds if isinstance(seconds, int | float) else None), "")]

    return draw


def _make_difference(study: s.Study, measures: ColumnMeasures, key: str, rank: int) -> Column | None:
    """How far a trial's best value is from that of the study's best trial; or, since its best, how far its
    last value is from its own best one: that rises where a trial overfits."""
    field = find_field(study, f"{study.objectives[0][0]}.best")
    if field is None:
        return None
    measured = field.name in measures.fields
    form = measures.format(field.name) if measured else choose_format(study, field)
    cells = 1 + measures.find_width(field.name) - measures.find_margin_cells(field.name) if measured else 0
    sign = 1 if field.direction == "minimize" else -1

    def draw(row: RowView) -> list[Piece]:
        own = field.value(row.study, row.trial)
        pair = (own, row.best_value) if key == VS_BEST else (row.trial.latest.get(field.metric), own)
        if key == VS_BEST and row.best:
            return [("best", "good")]
        if not isinstance(pair[0], int | float) or not isinstance(pair[1], int | float):
            return [("", "")]
        away = pair[0] - pair[1]
        text = form.write(abs(away))
        if not text.strip("0.%"):
            return [("=", "muted")]
        return [(f"{'+' if away > 0 else '-'}{text}", "good" if key == VS_BEST and sign * away < 0 else "")]

    return Column(key, NAMES[key], max(7, len(NAMES[key]), cells), rank, draw, right=True)


def list_chosen_keys(study: s.Study, chosen: Sequence[str] | None) -> list[str]:
    """Return the keys of the columns to show, or of those that trimtab chooses."""
    return list(chosen if chosen is not None else list_default_columns(study))
