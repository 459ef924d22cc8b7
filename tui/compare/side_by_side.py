"""Formats trials in columns: differing knobs, metrics with intervals, the best marked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison as c
from core.contract.views.metric_format import HUNDREDTHS, format_figure, format_interval
from core.contract.views.metric_verdict import describe_metric
from core.contract.wire.console_api import PairedLosses
from tui.column_format import write_knob
from tui.compare.curve_overlay import COLOURS, SIGNS
from tui.compare.paired_rows import make_paired_rows
from tui.number_text import GLYPHS, format_duration, format_loss, format_size
from tui.theme_colors import Palette
from tui.widgets.xy_plot import pad

MOST = 8  # trials
NAME, LEAST, WIDEST = 22, 9, 26  # cells of the names, and of a column at least and at most
INTERVAL = 22  # cells of a column from which the interval stands next to the value


def make_table(
    study: s.Study, trials: Sequence[s.Trial], width: int, look: Palette,
    paired: Sequence[PairedLosses] = (), why: str = "",
) -> list[Text]:  # fmt: skip
    """Return the lines; columns that do not fit are left out, with a note. ``paired`` are the differences on
    the same validation rows, ``why`` what keeps them away."""
    room = max(LEAST, min(WIDEST, (width - NAME) // max(1, len(trials)) - 1))
    fit = max(1, (width - NAME) // (room + 1))
    shown_trials = trials[:fit]
    lines = [_make_heads(shown_trials, room, look), _make_states(shown_trials, room, look)]
    if fit < len(trials):
        lines.append(
            Text(
                f"{len(trials) - fit} more do not fit: a wider terminal shows them",
                style=look["warning"],
            )
        )
    differing = c.list_differing(trials)
    lines.append(_make_title("differing knobs" if differing else "no knobs differ", look))
    for name, values in differing:
        lines.append(
            _make_row(
                sanitize(name, NAME), [_make_cell(study, name, value) for value in values[:fit]], room, look
            )
        )
    lines.append(_make_title("metrics   ★ best   ☆ best, but within the error bars", look))
    lines += [_measure(measure, shown_trials, room, look) for measure in c.list_measures(study, trials)]
    return [*lines, *make_paired_rows(study, shown_trials, paired, why, (NAME, room), look)]


def _make_title(text: str, look: Palette) -> Text:
    return Text(text, style=f"bold {look['primary']}", no_wrap=True)


def _make_heads(trials: Sequence[s.Trial], room: int, look: Palette) -> Text:
    line = Text(" " * NAME, no_wrap=True)
    for place, trial in enumerate(trials):
        label = f"{SIGNS[place % len(SIGNS)]} #{trial.number}"
        line.append(f" {pad(label, room, right=True)}", style=f"bold {look[COLOURS[place % len(COLOURS)]]}")
    return line


def _make_states(trials: Sequence[s.Trial], room: int, look: Palette) -> Text:
    line = Text(pad("state, step, time", NAME), style=look["muted"], no_wrap=True)
    for trial in trials:
        words = [f"{GLYPHS[trial.state]} {trial.step}", format_duration(trial.elapsed_s)]
        text = " ".join(words) if len(" ".join(words)) <= room else words[0]
        line.append(f" {pad(text, room, right=True)}", style=look[trial.state])
    return line


def _make_cell(study: s.Study, name: str, value: object) -> str:
    return sanitize(write_knob(study, name, value), 60)


def _make_row(name: str, cells: Sequence[str], room: int, look: Palette) -> Text:
    line = Text(pad(name, NAME), style=look["muted"], no_wrap=True)
    for cell in cells:
        line.append(f" {pad(cell, room, right=True)}", style=look["info"])
    return line


def _measure(measure: c.Measure, trials: Sequence[s.Trial], room: int, look: Palette) -> Text:
    unit = describe_metric(measure.name).unit
    line = Text(pad(sanitize(measure.name, NAME), NAME), style=look["muted"], no_wrap=True)
    for trial, score in zip(trials, measure.scores, strict=False):
        best = trial.number in measure.best
        mark = ("☆" if measure.clear is False else "★") if best else " "
        text = pad(_format_score(score, unit, room - 2), room - 2, right=True)
        line.append(f" {text} {mark}", style=f"bold {look['good']}" if best else look["info"])
    return line


def _format_score(score: Score | None, unit: str, room: int) -> str:
    """Format a value, with its interval if there is room; a dash for a missing value."""
    if score is None or score.value is None:
        return "–"
    interval = format_interval(score, unit)
    if unit == "bytes":
        value = format_size(score.value)
    else:  # without an interval nothing says which digits are chance
        value = (
            format_figure(score.value, unit) if interval or unit in HUNDREDTHS else format_loss(score.value)
        )
    return f"{value} ({interval})" if interval and room >= INTERVAL - 2 else value
