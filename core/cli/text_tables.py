"""How verbs write values, times and tables."""

from __future__ import annotations

import json
import time
from typing import Any

from core.contract.state import reference_values
from core.contract.state.study_state import Line, Study, Trial
from core.contract.text.sanitize import plain


def value(one: Any) -> str:
    """A knob or metric: short for numbers, plain for texts."""
    if isinstance(one, float):
        return f"{one:.4g}"
    if isinstance(one, list | tuple):
        return "+".join(plain(str(part), 60) for part in one)
    return plain(str(one), 80)


def pairs(values: dict[str, Any]) -> str:
    """``name=value`` of each, in order."""
    return " ".join(f"{plain(name, 60)}={value(one)}" for name, one in values.items())


def results(study: Study, trial: Trial) -> str:
    """A trial's objectives, beside the base's where that is known: "eval/loss base 3.28 → 2.05"."""
    told = []
    for (metric, _), one in zip(study.objectives, trial.values, strict=False):
        base = reference_values.base_value(study, metric)
        name = plain(metric, 60)
        told.append(f"{name}={value(one)}" if base is None else f"{name} base {base:.4g} → {value(one)}")
    return "  ".join(told)


def clock(at: float) -> str:
    """Unix seconds as local wall clock."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def span(seconds: float | None) -> str:
    """A length of time in its two largest units; a dash when it is not known."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))  # a clock may be set back
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line(one: Line) -> str:
    """One line of an event list; info is not marked."""
    mark = "" if one.level == "info" else f"{one.level}: "
    return f"{clock(one.at)} {mark}{plain(one.text)}"


def newer(lines: tuple[Line, ...], last: Line | None) -> tuple[Line, ...]:
    """The lines after ``last``; all of them when it has been dropped from the list."""
    start = len(lines)
    while start and lines[start - 1] != last:
        start -= 1
    return lines[start:]


def dump(found: dict[str, Any]) -> None:
    """One JSON object on standard output; non-ASCII escaped, so nothing reaches the terminal raw."""
    print(json.dumps(found, indent=2))
