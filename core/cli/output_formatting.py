"""Formats values, times and tables for commands."""

from __future__ import annotations

import json
import time
from typing import Any

from core.contract.state import reference_values
from core.contract.state.engine_state import Line, Study, Trial
from core.contract.text.sanitize import sanitize


def format_value(result: Any) -> str:
    """Format a knob or metric: numbers short, texts sanitized."""
    if isinstance(result, float):
        return f"{result:.4g}"
    if isinstance(result, list | tuple):
        return "+".join(sanitize(str(part), 60) for part in result)
    return sanitize(str(result), 80)


def format_pairs(values: dict[str, Any]) -> str:
    """Format ``name=value`` for each value, in order."""
    return " ".join(f"{sanitize(name, 60)}={format_value(knob_value)}" for name, knob_value in values.items())


def format_results(study: Study, trial: Trial) -> str:
    """Format a trial's objectives, with the base's value where known: "eval/loss base 3.28 → 2.05"."""
    results = []
    for (metric, _), result in zip(study.objectives, trial.values, strict=False):
        base = reference_values.find_base_value(study, metric)
        name = sanitize(metric, 60)
        results.append(
            f"{name}={format_value(result)}"
            if base is None
            else f"{name} base {base:.4g} → {format_value(result)}"
        )
    return "  ".join(results)


def format_clock(at: float) -> str:
    """Format Unix seconds as local wall clock."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def format_span(seconds: float | None) -> str:
    """Format a duration in its two largest units; a dash when unknown."""
    if seconds is None:
        return "–"
    total_s = max(0, int(seconds))  # a clock may be set back
    if total_s < 60:
        return f"{total_s} s"
    if total_s < 3600:
        return f"{total_s // 60} min {total_s % 60:02d} s"
    return f"{total_s // 3600} h {total_s % 3600 // 60:02d} min"


def format_line(row: Line) -> str:
    """Format one line of an event list; info lines have no mark."""
    mark = "" if row.level == "info" else f"{row.level}: "
    return f"{format_clock(row.at)} {mark}{sanitize(row.text)}"


def select_lines_after(lines: tuple[Line, ...], last: Line | None) -> tuple[Line, ...]:
    """Return the lines after ``last``; if it is no longer in the list, those that came later."""
    start = len(lines)
    while start and lines[start - 1] != last:
        start -= 1
    if not start and last is not None:
        start = next((place for place, line in enumerate(lines) if line.at > last.at), len(lines))
    return lines[start:]


def dump(content: dict[str, Any]) -> None:
    """Print one JSON object; non-ASCII is escaped, so no raw text reaches the terminal."""
    print(json.dumps(content, indent=2))
