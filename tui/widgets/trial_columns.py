"""The columns of the trial table: what each shows of a trial, and which of them fit. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.contract.spec.knob_table import KNOBS
from core.contract.state import best_and_counts, study_progress
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from tui.number_text import ASKED, GLYPHS, bar, duration, loss, number, sparkline
from tui.widgets.steering_row_signs import LONGEST_SIGNS, Piece, has_signs, signs_of, signs_width, words_of

LONGEST_KNOB = 11
PROGRESS = 13  # cells: a bar and its percents, or "scoring 12/36"
GAP = 2  # cells between columns

Draw = Callable[[s.Study, s.Trial, bool], list[Piece]]  # the study, a trial, is it the best


@dataclass(frozen=True)
class Column:
    """One column; a lower ``rank`` stays longer when the terminal is narrow."""

    label: str
    width: int
    rank: int
    draw: Draw
    right: bool = False


def columns(study: s.Study, width: int) -> list[Column]:
    """The columns that fit into ``width`` cells, in their order."""
    kept: set[int] = set()
    room = width - 1 + GAP  # a cell before the first column; no gap is needed after the last
    wanted = [*_fixed_columns(study, width), *_knob_columns(study)]
    for index, column in sorted(enumerate(wanted), key=lambda pair: pair[1].rank):
        if room >= column.width + GAP:
            room -= column.width + GAP
            kept.add(index)
    return [column for index, column in enumerate(wanted) if index in kept]


def shape_of(study: s.Study) -> tuple[object, ...]:
    """What the columns and their widths depend on: the trials, what people did to them, and the space."""
    touched = [(len(trial.marks), signs_width(trial)) for trial in study.trials.values() if has_signs(trial)]
    return (study.name, len(study.trials), tuple(study.settings.space), tuple(touched))


def _fixed_columns(study: s.Study, width: int) -> list[Column]:
    metric = study.objectives[0][0].split("/")[-1]
    curve = 16 if width >= 110 else 10
    label = f"best {metric}"[:9].rstrip()
    signs = max(map(signs_width, study.trials.values()), default=0)
    return [
        Column("# ", 4, 0, _number, right=True),
        *([Column("", min(LONGEST_SIGNS, signs), 1, signs_of)] if signs else []),
        Column("state", 11, 0, _state),
        Column("progress", PROGRESS, 1, _progress),
        Column("left", 6, 4, _left, right=True),
        Column("loss", curve, 3, _curve(curve)),
        Column("eval", 6, 5, _eval, right=True),
        Column(label, 9, 1, _best, right=True),
    ]


def _knob_columns(study: s.Study) -> list[Column]:
    knob_columns = []
    for place, name in enumerate(study.settings.space):
        label = KNOBS[name].short or name if name in KNOBS else plain(name, LONGEST_KNOB)
        values = [number(_value(trial, name)) for trial in study.trials.values()]
        width = min(LONGEST_KNOB, max([len(label), 4, *map(len, values)]))
        knob_columns.append(Column(label, width, 2 if place < 2 else 6 + place, _knob(name), right=True))
    return knob_columns


def _number(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    return [(f"{trial.number:>3}★" if best else f"{trial.number:>3} ", "good" if best else "")]


def _state(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    state = s.PAUSED if study.state == "paused" and trial.state == s.QUEUED and trial.step else trial.state
    word = ASKED.get(trial.asked, state) if trial.state in s.ON_WORKER else state
    if trial.editing and not trial.asked:
        word = "editing…"
    return [(f"{GLYPHS[state]} {word}", "warning" if trial.asked or trial.editing else state)]


def _progress(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    """Format the progress in steps; after the last step the current activity."""
    if trial.pending:
        return [(_scoring_text(trial), "info")]
    if study_progress.is_evaluating(trial):
        return [("██", trial.state), (f" {study_progress.EVALUATING}", "")]
    done = min(trial.step, trial.total_steps)
    share = done / trial.total_steps if trial.total_steps else 0.0
    percent = 100 * done // trial.total_steps if trial.total_steps else 0
    full, empty = bar(share, 8)
    return [(full, trial.state), (empty, "muted"), (f" {percent:>3}%", "")]


def _scoring_text(trial: s.Trial) -> str:
    """Such as "scoring 12/36"; in percents where that is too long."""
    words = study_progress.format_scoring(trial)
    if len(words) > PROGRESS:
        words = f"scoring {100 * trial.scoring_done // trial.scoring_total:>3}%"
    return words


def _left(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    if trial.state in s.ENDED:
        return [(duration(trial.elapsed_s), "muted")]
    return [(duration(study_progress.trial_left_s(study, trial)), "")]


def _curve(width: int) -> Draw:
    def draw(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
        series = trial.series.get("train/loss")
        return [(sparkline(series.values if series else (), width), "train")]

    return draw


def _eval(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    return [(loss(trial.latest.get("eval/loss")), "")]


def _best(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    value = trial.values[0] if trial.values else best_and_counts.best_reading(study, trial)
    return [(loss(value), "bold" if trial.state == s.COMPLETE else "")]


def _value(trial: s.Trial, name: str) -> object:
    """The knob as it is now, which an edit may have changed."""
    return trial.knobs.get(name, trial.params.get(name))


def _knob(name: str) -> Draw:
    def draw(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
        value = _value(trial, name)
        edited = name in trial.params and value != trial.params[name]
        return [(plain(number(value), LONGEST_KNOB), "warning" if edited else "")]

    return draw


def matches(trial: s.Trial, text: str) -> bool:
    """Return whether every word of ``text`` occurs in the trial's number, state, knobs, signs or note."""
    shown = [f"#{trial.number}", str(trial.number), trial.state, trial.asked, trial.note, *words_of(trial)]
    for name in trial.params:
        knob, value = KNOBS.get(name), number(_value(trial, name))
        shown += [f"{name}={value}", f"{knob.short if knob else name}={value}"]
    words = text.lower().split()
    return all(
        any(shown_text == word if word.isdigit() else word in shown_text.lower() for shown_text in shown)
        for word in words
    )


def sort_trials(study: s.Study, best_first: bool) -> list[s.Trial]:
    """Sort trials by number, or by the first objective, best first and those without a value last."""
    trials = list(study.trials.values())
    if not best_first:
        return trials
    sign = 1 if study.objectives[0][1] == "minimize" else -1

    def rank(trial: s.Trial) -> tuple[bool, float, int]:
        value = trial.values[0] if trial.values else best_and_counts.best_reading(study, trial)
        return (value is None, sign * value if value is not None else 0.0, trial.number)

    return sorted(trials, key=rank)
