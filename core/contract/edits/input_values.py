"""Parse and format values that people type in the console and on the command line: knobs, and factors of
them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from core.contract.edits.knob_edit_checks import (
    EVALUATE_EVERY,
    find_editable,
    find_steps_fault,
    is_factor,
    read_factor,
)
from core.contract.spec.knob_table import MODULE_GROUPS, POSITIVE, Knob, find_fault
from core.contract.spec.search_space import Choice, explain_outside
from core.contract.state.engine_state import Study, Trial
from core.contract.text.sanitize import sanitize

ENDLESS = 1e6  # larger bounds are not shown
NONE = ("", "none", "–")
UNLEARNT = "the sampler will not learn from it"


@dataclass(frozen=True)
class Read:
    """A parsed text: its ``value``, or what is ``wrong`` with it; ``note`` comments on a valid value."""

    value: Any = None
    wrong: str = ""
    note: str = ""


def parse_knob(choice: Knob, text: str) -> Read:
    """Parse the value of the knob ``choice`` in ``text``; commas separate the modules of a list."""
    text = text.strip()
    if text.lower() in NONE:
        value: Any = None
    elif choice.kind in ("float", "int"):
        value = parse_number(text, choice.kind == "int")
    elif choice.kind == "modules":
        names = [name.strip(" \"'") for name in text.strip("[]").replace("+", ",").split(",")]
        value = names[0] if len(names) == 1 and names[0] in MODULE_GROUPS else names
    else:
        value = text.lower()
    wrong = find_fault(choice, value)
    return Read(wrong=wrong) if wrong else Read(value)


def parse_number(text: str, integer: bool) -> object:
    """Return the number in ``text``, or ``text`` itself if it is not a number; ``find_fault`` then explains
    the fault."""
    try:
        value = float(text)
    except ValueError:
        return text
    if not integer:
        return value
    return int(value) if value.is_integer() else value


def parse_edit(trial: Trial, name: str, text: str) -> Read:
    """Parse a change of a knob of a running ``trial``: a value, or a factor such as "x0.5"."""
    text = text.strip()
    if is_factor(name, text):
        return _parse_factor(text, {**trial.knobs, **trial.editing}.get(name))
    knob = find_editable(name)
    read = Read(wrong="is not a knob") if knob is None else parse_knob(knob, text)
    if read.wrong:
        return read
    if name == "steps" and trial.step and (wrong := find_steps_fault(read.value, trial.step)):
        return Read(wrong=wrong)
    note = (
        f"{read.value - trial.step} to go, was {trial.total_steps}" if name == "steps" and trial.step else ""
    )
    return Read(read.value, note=note)


def _parse_factor(text: str, before: object) -> Read:
    factor = read_factor(text)
    if not factor or not math.isfinite(factor):
        return Read(wrong=f"{sanitize(text, 40)} is not a factor: write one such as x0.5")
    is_number = isinstance(before, int | float) and not isinstance(before, bool)
    return Read(f"x{factor:.12g}", note=f"{format_value(before)} × {factor:g}" if is_number else "")


def format_value(value: object) -> str:
    """Return ``value`` in the form that ``knob`` parses, with six digits of a float."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(str(entry) for entry in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def explain_unlearnt(study: Study, name: str, value: object) -> str:
    """Return why the sampler learns nothing from ``value``; empty if it does learn.

    The value is outside the study's space, or differs from the value that all trials of the study share.
    """
    dimension = study.settings.space.get(name)
    if dimension is not None:
        away = explain_outside(dimension, value)
        return f"outside the space: {UNLEARNT} ({away})" if away else ""
    is_unchanged = value == list_current_values(study, None).get(name)
    return "" if is_unchanged else f"not as all trials have it: {UNLEARNT}"


def describe_range(study: Study, knob: Knob) -> str:
    """Return in a few words the range that the study searches ``knob`` in, or else the range that the knob
    table allows."""
    dimension = study.settings.space.get(knob.name)
    if isinstance(dimension, Choice):
        return " ".join("+".join(v) if isinstance(v, list) else format_value(v) for v in dimension.values)
    if dimension is not None:
        scale_text = " log" if dimension.log else f" step {dimension.step:g}" if dimension.step else ""
        return f"{dimension.low:g} to {dimension.high:g}{scale_text}"
    if knob.choices:
        return " ".join(knob.choices)
    unit = f" {knob.unit}" if knob.unit and knob.unit != "fraction" else ""
    low = f"{'above' if knob.name in POSITIVE else 'from'} {knob.low or 0:g}"
    high = knob.high or 0
    return f"{low}{unit if knob.low != 1 else ''}" if high >= ENDLESS else f"{low} to {high:g}{unit}"


def list_current_values(study: Study, trial: Trial | None) -> dict[str, Any]:
    """Return the present value of every knob of ``trial``, or of the study without one, and the evaluation
    interval."""
    values = {**study.settings.train, EVALUATE_EVERY.name: study.settings.evaluate.every}
    return values if trial is None else values | trial.knobs
