"""Exports all trials as rows, for CSV, Parquet and the report.

Columns, in this order: what the trial is (with ``scoring_step``, ``scoring_done`` and ``scoring_total`` where
last scores are still to come), ``param.NAME`` for knobs that were searched and ``knob.NAME`` for
those that stood, ``value.METRIC`` for the objectives, ``latest.METRIC`` for all that was reported, and
``score.METRIC`` with ``.low``, ``.high`` (95 %) and ``.samples`` for the boards.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from core.contract.spec.knob_table import KNOBS
from core.contract.state import engine_state as s
from core.contract.state import study_progress
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor

TEXT = 2000  # characters of one cell
FORMULA = ("=", "+", "-", "@")  # a spreadsheet evaluates a text that starts with one of these
BLANKS = " \t\r\n\x00\ufeff\ufffd"  # some spreadsheets skip these at the start
Row = dict[str, Any]


def list_rows(study: s.Study) -> list[Row]:
    """Return one row per trial, by number, all with the same keys; missing values are None."""
    redactor, names = Redactor(), frozenset(list_searched_knobs(study))
    table = [_make_row(study, trial, names, redactor) for _, trial in sorted(study.trials.items())]
    keys = sorted({key for row in table for key in row}, key=_find_place)
    return [{key: row.get(key) for key in keys} for row in table]


def list_searched_knobs(study: s.Study) -> tuple[str, ...]:
    """Return the searched knobs, in the knob table's order."""
    names = {
        *study.settings.space,
        *(name for trial in study.trials.values() for name in trial.params),
    }
    return tuple(sorted(names, key=lambda name: (list(KNOBS).index(name) if name in KNOBS else 99, name)))


def encode_csv(table: list[Row]) -> str:
    """Return the rows as CSV with a header. A text that a spreadsheet would evaluate gets a leading
    apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(list(table[0]) if table else ["trial"])
    for row in table:
        writer.writerow([_make_cell(value) for value in row.values()])
    return out.getvalue()


def write_parquet(table: list[Row], path: Path) -> str:
    """Write the rows as Parquet. Returns "" or, if pyarrow is missing, why it was not written."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return "no Parquet: pyarrow is not installed (pip install pyarrow)"
    columns = {name: _make_column([row[name] for row in table]) for name in (table[0] if table else ())}
    parquet.write_table(pyarrow.table(columns), path)
    return ""


def _make_row(study: s.Study, trial: s.Trial, names: frozenset[str], redactor: Redactor) -> Row:
    row: Row = {
        "trial": trial.number, "state": trial.state, "step": trial.step, "total_steps": trial.total_steps,
        "elapsed_s": trial.elapsed_s, "queued_at": trial.queued_at, "started_at": trial.started_at,
        "ended_at": trial.ended_at, "device": trial.device, "trainable": trial.trainable,
        "foretold_bytes": trial.foretold_bytes, "measured_bytes": trial.measured_bytes,
        "retry": trial.retry, "why": trial.why, "error": trial.error,
    }  # fmt: skip
    scoring = study_progress.make_scoring_record(trial) if trial.pending else None
    row |= {f"scoring_{name}": value for name, value in (scoring or {}).items()}
    for name, value in {**trial.knobs, **trial.params}.items():
        kind = "param" if name in names else "knob"
        row[f"{kind}.{name}"] = json.dumps(value) if isinstance(value, list) else value
    for (metric, _), value in zip(study.objectives, trial.values, strict=False):
        row[f"value.{metric}"] = value
    row |= {f"latest.{metric}": value for metric, value in trial.latest.items() if metric not in trial.scores}
    for metric, score in trial.scores.items():
        row |= {f"score.{metric}": score.value, f"score.{metric}.low": score.low}
        row |= {f"score.{metric}.high": score.high, f"score.{metric}.samples": score.samples}
    return {key: _convert_text(value, redactor) for key, value in row.items()}


def _convert_text(value: Any, redactor: Redactor) -> Any:
    return redactor.redact_text(sanitize(value, TEXT)) if isinstance(value, str) else value


FIRST = (
    "trial", "state", "step", "total_steps", "elapsed_s", "queued_at", "started_at", "ended_at", "device",
    "scoring_step", "scoring_done", "scoring_total",
)  # fmt: skip
LAST = ("trainable", "foretold_bytes", "measured_bytes", "retry", "why", "error")
KINDS = ("value", "param", "knob", "latest", "score")


def _find_place(key: str) -> tuple[int, int, str]:
    if key in FIRST:
        return 0, FIRST.index(key), ""
    if key in LAST:
        return 9, LAST.index(key), ""
    kind, _, name = key.partition(".")
    knob = list(KNOBS).index(name) if kind in ("param", "knob") and name in KNOBS else 0
    return 1 + KINDS.index(kind), knob, name


def _make_cell(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip(BLANKS).startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _make_column(values: list[Any]) -> list[Any]:
    """Return the values converted to one type, as Parquet requires: integers, floats, or else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {str} or kinds <= {bool}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]
