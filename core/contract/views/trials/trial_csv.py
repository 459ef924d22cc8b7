"""Trials and their curves as CSV: full values under full names, for a spreadsheet or pandas. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trials import trial_fields

LONGEST = 2000
FORMULA = ("=", "+", "-", "@", "\t")  # what a spreadsheet would take for the beginning of a formula


def write_trials(study: s.Study, numbers: Iterable[int]) -> str:
    """Return a line for each of the trials in this order: state, progress, knobs, and metrics."""
    fields = [
        *trial_fields.list_fields(study),
        trial_fields.Field("why", "", "text", lambda _, trial: trial.why),
    ]
    trials = [study.trials[number] for number in numbers if number in study.trials]
    rows = [[_make_cell(field.value(study, trial)) for field in fields] for trial in trials]
    return _write([field.name for field in fields], rows)


def write_curves(trial: s.Trial) -> str:
    """Return a line for each point of the trial's curves that the engine's state has: metric, step, value."""
    points = (
        (metric, step, value)
        for metric, series in sorted(trial.series.items())
        for step, value in zip(series.steps, series.values, strict=True)
    )
    return _write(["metric", "step", "value"], [[_make_cell(part) for part in point] for point in points])


def _write(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_make_cell(name) for name in head])
    writer.writerows(rows)
    return out.getvalue()


def _make_cell(value: object) -> object:
    """A number as it is, nothing for None, and a text that no spreadsheet takes for a formula."""
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else value
    text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = sanitize(text, LONGEST)
    return f"'{text}" if text.startswith(FORMULA) else text
