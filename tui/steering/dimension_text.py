"""A dimension of the space as people type it: "1e-5 … 1e-3 log", "8, 16, 32", "= 16". Pure."""

from __future__ import annotations

import re
from typing import Any

from core.contract.edits import input_values
from core.contract.edits.input_values import Read, format_value
from core.contract.spec.knob_table import Knob, find_knob
from core.contract.spec.search_space import Choice, Dimension, explain_outside, read_dimension
from core.contract.text.sanitize import sanitize

PARTS = re.compile(
    r"(?P<low>\S+)\s*(?:…|\.{2,3}|\bto\b|–)\s*(?P<high>\S+)"
    r"(?:\s+(?P<log>log))?(?:\s+step\s+(?P<step>\S+))?\s*"
)
LONGEST = 500  # characters looked at
FORMS = {
    "float": "low … high, optionally log or step 0.1; or a list 0, 0.1; or = 0.1 pins it",
    "int": "low … high, optionally log or step 2; or a list 8, 16; or = 16 pins it",
    "choice": "a comma-separated list; or = value pins it",
    "modules": "a list such as attention, q_proj+v_proj; or = value pins it",
}


def format_dimension(dimension: Dimension) -> str:
    """An entry of [space] as it is typed."""
    if isinstance(dimension, Choice):
        return ", ".join("+".join(v) if isinstance(v, list) else format_value(v) for v in dimension.values)
    scale_text = (
        " log" if dimension.log else f" step {format_value(dimension.step)}" if dimension.step else ""
    )
    return f"{format_value(dimension.low)} … {format_value(dimension.high)}{scale_text}"


def format_fixed(value: Any) -> str:
    """One value for all trials, as it is typed."""
    return f"= {'+'.join(value) if isinstance(value, list) else format_value(value)}"


def read(name: str, typed: str) -> Read:
    """What ``typed`` means for the knob ``name``: {"low", "high" …}, {"choice"}, or {"held": value}."""
    knob, typed = find_knob(name), typed.strip()[:LONGEST]
    if knob is None:
        return Read(wrong="is not a knob")
    if typed.startswith("="):
        parsed = input_values.parse_knob(knob, typed[1:])
        return parsed if parsed.wrong else Read({"held": parsed.value})
    parts = PARTS.fullmatch(typed) if knob.kind in ("float", "int") else None
    if parts is None:
        return _read_choice(knob, typed)
    raw: dict[str, Any] = {}
    for key in ("low", "high", "step"):
        if parts[key] is not None:
            raw[key] = input_values.parse_number(parts[key], integer=knob.kind == "int")
    return _check(name, raw | ({"log": True} if parts["log"] else {}))


def _read_choice(knob: Knob, typed: str) -> Read:
    values = []
    for part in typed.split(","):
        parsed = input_values.parse_knob(knob, part)
        if parsed.wrong:
            return Read(wrong=f"{sanitize(part.strip(), 40)!r}: {parsed.wrong}")
        values.append(parsed.value)
    return _check(knob.name, {"choice": values})


def _check(name: str, raw: dict[str, Any]) -> Read:
    _, faults = read_dimension(name, raw)
    if faults:
        key, wrong = faults[0]
        return Read(wrong=sanitize(f"{key} {wrong}".strip(), 200))
    return Read(raw)


def describe_outside(dimension: Dimension, value: Any) -> str:
    """Why ``value`` cannot be held in ``dimension``; empty where it can."""
    wrong = explain_outside(dimension, value)
    remedy = "add it to the list first" if isinstance(dimension, Choice) else "widen the range first"
    return f"{wrong}: {remedy}" if wrong else ""
