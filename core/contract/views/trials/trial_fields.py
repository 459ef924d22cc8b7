"""What can be asked of a trial by name, for filters, orders and columns: state, knobs, metrics. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.contract.spec.knob_table import find_knob
from core.contract.spec.metric_table import METRICS, find_metric
from core.contract.state import engine_state as s
from core.contract.state import study_progress
from core.contract.views.metric_verdict import describe_metric

Kind = Literal["number", "seconds", "bytes", "share", "text"]
Reading = Literal["best", "last", "smooth"]
READINGS: tuple[Reading, ...] = ("best", "last", "smooth")
SMOOTH = 0.9  # weight of the moving average, as in the charts
FIRST = (
    "eval",
    "train",
    "quality",
    "safety",
    "security",
    "feedback",
    "memory",
)  # "loss" is the first of them that has one
STAR, EDITED = "*", "✎"


@dataclass(frozen=True)
class Field:
    """One thing to ask of a trial; ``value`` is None where the trial has none. ``metric`` and ``reading`` are
    set for metrics, ``direction`` is the better one of theirs."""

    name: str
    label: str
    kind: Kind
    value: Callable[[s.Study, s.Trial], object]
    metric: str = ""
    reading: Reading | None = None
    direction: str = ""


def _find_progress(study: s.Study, trial: s.Trial) -> float:
    return trial.step / trial.total_steps if trial.total_steps else 0.0


def _estimate_time_left_s(study: s.Study, trial: s.Trial) -> float | None:
    return None if trial.state in s.ENDED else study_progress.estimate_trial_left_s(study, trial)


FIXED: tuple[Field, ...] = (
    Field("number", "#", "number", lambda study, trial: trial.number),
    Field("state", "state", "text", lambda study, trial: trial.state),
    Field("progress", "progress", "share", _find_progress),
    Field("step", "step", "number", lambda study, trial: trial.step),
    Field("left", "left", "seconds", _estimate_time_left_s),
    Field("elapsed", "elapsed", "seconds", lambda study, trial: trial.elapsed_s or None),
    Field("device", "device", "text", lambda study, trial: trial.device),
    Field("by", "by", "text", lambda study, trial: trial.by or "sampler"),
    Field("note", "note", "text", lambda study, trial: trial.note),
)


def find_field(study: s.Study, name: str) -> Field | None:
    """Return the field that ``name`` means, None for none: a knob by its name or short form, a metric by its
    name or what follows its board, with ``.best``, ``.last`` or ``.smooth``."""
    field_name = {"#": "number", "trial": "number"}.get(name.lower(), name.lower())
    fixed = next((field for field in FIXED if field.name == field_name), None)
    return fixed or _find_knob(study, name) or _find_metric(study, name)


def make_knob_field(name: str) -> Field:
    """Return the field of the knob ``name``; its value may have been changed by an edit."""
    knob = find_knob(name)
    text = knob is not None and knob.kind in ("choice", "modules")
    label = (knob.short if knob is not None else "") or name
    return Field(name, label, "text" if text else "number", lambda study, trial: find_knob_value(trial, name))


def find_knob_value(trial: s.Trial, name: str) -> object:
    """Return the knob as it is now, which an edit may have changed."""
    return trial.knobs.get(name, trial.params.get(name))


def make_metric_field(study: s.Study, metric: str, reading: Reading | None = None) -> Field:
    """Return the field of a metric: its best value, its last, or the last of its smoothed curve. Without a
    reading it is the best one of an objective, else the last."""
    directions = dict(study.objectives)
    reading = reading or ("best" if metric in directions else "last")
    direction = directions.get(metric) or describe_metric(metric).direction
    unit = describe_metric(metric).unit
    kind: Kind = "bytes" if unit == "bytes" else "share" if unit == "fraction" else "number"

    def value(study: s.Study, trial: s.Trial) -> float | None:
        return read_metric(study, trial, metric, reading, direction)

    return Field(f"{metric}.{reading}", metric.split("/")[-1], kind, value, metric, reading, direction)


def read_metric(
    study: s.Study, trial: s.Trial, metric: str, reading: Reading, direction: str
) -> float | None:
    """Return a finite reading of ``metric``, or None."""
    series, last = trial.series.get(metric), _find_last(trial, metric)
    values = [value for value in (series.values if series is not None else ()) if math.isfinite(value)]
    if reading == "smooth":
        return smooth_last(values)
    if reading == "last":
        return last if last is not None else (values[-1] if values else None)
    places = [name for name, _ in study.objectives]
    if metric in places and len(trial.values) > places.index(metric):
        return trial.values[places.index(metric)]
    known_values = values + ([last] if last is not None else [])
    return (min(known_values) if direction == "minimize" else max(known_values)) if known_values else None


def smooth_last(values: Sequence[float]) -> float | None:
    """Return the last value of the exponential moving average that starts unbiased; None without values."""
    mean = sum((1 - SMOOTH) * SMOOTH**back * value for back, value in enumerate(reversed(values)))
    return mean / (1 - SMOOTH ** len(values)) if values else None


def list_fields(study: s.Study) -> list[Field]:
    """Return what the trials of a study have: fixed fields, searched knobs, other knobs, then metrics, each
    with its usual reading."""
    space = list(study.settings.space)
    other_knobs = [knob.name for knob in study.settings.knobs if knob.name not in space]
    return [
        *FIXED,
        *map(make_knob_field, [*space, *other_knobs]),
        *(make_metric_field(study, metric) for metric in list_metrics(study)),
    ]


def list_metrics(study: s.Study) -> list[str]:
    """Return the metrics that trials report, objectives first."""
    objectives = [metric for metric, _ in study.objectives]
    names = {name for trial in study.trials.values() for name in (*trial.latest, *trial.scores)}
    return [*objectives, *sorted(names - set(objectives), key=_find_board_order)]


def list_words(trial: s.Trial) -> list[str]:
    """Return the signs of how people steered the trial, and words for them."""
    words = [STAR, "starred"] if trial.starred else []
    words += [EDITED, "edited"] if is_edited(trial) else []
    words += ["editing"] if trial.editing else []
    words += [] if trial.counted else ["uncounted"]
    words += [f"←{trial.parent}", "clone"] if trial.parent >= 0 else ["by hand"] if trial.by else []
    words += ["noted"] if trial.note else []
    return words + ([f"@{trial.pinned}", "pinned"] if trial.pinned else [])


def is_edited(trial: s.Trial) -> bool:
    """Was a knob changed as it ran, or a prune taken back? A clone's first mark is its beginning."""
    return len(trial.marks) > (trial.parent >= 0)


def _find_knob(study: s.Study, name: str) -> Field | None:
    knobs = study.settings.knobs
    if name in study.settings.space or any(knob.name == name for knob in knobs):
        return make_knob_field(name)
    alike = [knob.name for knob in knobs if name.lower() in (knob.short.lower(), knob.name)]
    return make_knob_field(alike[0]) if alike else None


def _find_metric(study: s.Study, name: str) -> Field | None:
    metric, _, ending = name.rpartition(".")
    reading = next((reading_name for reading_name in READINGS if reading_name == ending), None)
    metric = metric if reading is not None else name
    objectives = [reading_name for reading_name, _ in study.objectives]
    if metric in objectives or find_metric(metric) is not None:
        return make_metric_field(study, metric, reading)
    ending_alike = [reading_name for reading_name in METRICS if reading_name.split("/")[-1] == metric.lower()]
    ranked = sorted(
        ending_alike,
        key=lambda reading_name: (reading_name not in objectives, _find_board_order(reading_name)),
    )
    return make_metric_field(study, ranked[0], reading) if ranked else None


def _find_board_order(metric: str) -> tuple[int, str]:
    board = metric.split("/")[0]
    return (FIRST.index(board) if board in FIRST else len(FIRST), metric)


def _find_last(trial: s.Trial, metric: str) -> float | None:
    score = trial.scores.get(metric)
    value = score.value if score is not None else trial.latest.get(metric)
    return value if value is not None and math.isfinite(value) else None


def sort_key(value: object) -> tuple[int, float, str]:
    """Return a key by which numbers come before texts."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value).lower())
