"""The searched part of a study: a dimension for each knob that trials differ in."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Literal

import msgspec

from core.contract.input_size_limits import MOST_ENTRIES
from core.contract.spec.knob_table import Knob, find_fault, find_knob
from core.contract.text.sanitize import show_value


class Range(msgspec.Struct, frozen=True, tag="range"):
    """Numbers from ``low`` to ``high``, both inclusive; ``step`` or ``log``, not both.

    Searched only if each knob in ``when`` has one of the listed values; otherwise the knob has the value
    ``otherwise`` (None: its default).
    """

    low: float
    high: float
    kind: Literal["float", "int"] = "float"
    step: float | None = None
    log: bool = False
    when: dict[str, tuple[Any, ...]] = {}
    otherwise: Any = None


class Choice(msgspec.Struct, frozen=True, tag="choice"):
    """A choice of values. A list of module names is a single value. ``when`` and ``otherwise`` as in a
    Range."""

    values: tuple[float | int | str | list[str], ...]
    when: dict[str, tuple[Any, ...]] = {}
    otherwise: Any = None


Dimension = Range | Choice
Space = dict[str, Dimension]
MOST_TOLD = 20  # reported faulty values of one choice
NEAR = 1e-9  # relative rounding error of sums and logarithms
KEYS = ("low", "high", "step", "log", "choice", "when", "otherwise")


def read_dimension(name: str, raw: object) -> tuple[Dimension | None, list[tuple[str, str]]]:
    """Parse an entry of ``[space]`` as a dimension.

    Accepts ``{low, high, step?, log?}``, ``{choice = [...]}`` or the bare list of a choice; the tables also
    with ``when = {knob = values}`` and ``otherwise``. Returns the dimension, or None with the faults as (key,
    what is wrong).
    """
    knob = find_knob(name)
    if knob is None:
        return None, [("", "is not a knob")]
    if isinstance(raw, list):
        raw = {"choice": raw}
    if not isinstance(raw, dict):
        hint = "is one value: a fixed knob belongs in [train]; here write {low, high} or a list"
        return None, [("", f"{show_value(raw)} {hint}")]
    unknown = [key for key in raw if key not in KEYS]
    if unknown:
        return None, [(key, f"unknown key; a dimension takes {', '.join(KEYS)}") for key in unknown]
    when, faults = _read_when(knob, raw)
    entry = {key: value for key, value in raw.items() if key not in ("when", "otherwise")}
    read, wrong = _read_choice(knob, entry) if "choice" in raw else _read_range(knob, entry)
    if read is None or faults or not when:
        return (None if faults else read), [*wrong, *faults]
    return msgspec.structs.replace(read, when=when, otherwise=raw.get("otherwise")), []


def _read_when(knob: Knob, raw: dict[str, Any]) -> tuple[dict[str, tuple[Any, ...]], list[tuple[str, str]]]:
    when = raw.get("when", {})
    if not isinstance(when, dict) or any(find_knob(name) is None for name in when):
        hint = 'is not a table of knobs, such as {optimizer = ["adamw"]}'
        return {}, [("when", f"{show_value(when)} {hint}")]
    if "otherwise" in raw and not when:
        return {}, [("otherwise", "is allowed only with when")]
    wrong = find_fault(knob, raw["otherwise"]) if "otherwise" in raw else None
    if wrong:
        return {}, [("otherwise", f"{show_value(raw['otherwise'])} {wrong}")]
    return {
        name: tuple(choices) if isinstance(choices, list) else (choices,) for name, choices in when.items()
    }, []


def _read_choice(knob: Knob, raw: dict[str, Any]) -> tuple[Dimension | None, list[tuple[str, str]]]:
    values = raw["choice"]
    if len(raw) > 1:
        return None, [("choice", "cannot be combined with low, high, step or log")]
    if not isinstance(values, list) or not values:
        return None, [("choice", f"{show_value(values)} is not a non-empty list")]
    if len(values) > MOST_ENTRIES:
        return None, [("choice", f"{len(values)} values; at most {MOST_ENTRIES}")]
    faults: list[tuple[str, str]] = []
    for value in values:
        wrong = find_fault(knob, value) if len(faults) < MOST_TOLD else None
        if wrong:
            faults.append(("choice", f"{show_value(value)} {wrong}"))
    if any(value in values[:index] for index, value in enumerate(values)):
        faults.append(("choice", "the same value is listed twice"))
    return (None, faults) if faults else (Choice(tuple(values)), [])


def _read_range(knob: Knob, raw: dict[str, Any]) -> tuple[Dimension | None, list[tuple[str, str]]]:
    if knob.kind not in ("float", "int"):
        return None, [("", f"{knob.name} is a choice: write a list of values")]
    faults = [(key, "is missing") for key in ("low", "high") if key not in raw]
    log, step = raw.get("log", False), raw.get("step")
    if not isinstance(log, bool):
        faults.append(("log", f"{show_value(log)} is not true or false"))
    for key in ("low", "high"):
        wrong = find_fault(knob, raw[key]) if key in raw else None
        if wrong:
            faults.append((key, f"{show_value(raw[key])} {wrong}"))
    if faults:
        return None, faults
    low, high = raw["low"], raw["high"]
    if low > high:
        faults.append(("low", f"{low!r} is above high = {high!r}"))
    if log and low <= 0:
        faults.append(("low", f"a log range cannot start from {low!r}; use a small number such as 1e-6"))
    faults += _find_step_faults(knob, step, log, low, high)
    if faults:
        return None, faults
    return Range(low, high, "int" if knob.kind == "int" else "float", step, log), []


def _find_step_faults(knob: Knob, step: object, log: bool, low: float, high: float) -> list[tuple[str, str]]:
    if step is None:
        return []
    if isinstance(step, bool) or not isinstance(step, int | float) or not math.isfinite(step):
        return [("step", f"{show_value(step)} is not a number")]
    if step <= 0 or _convert_exactly(step) > _convert_exactly(high) - _convert_exactly(low):
        return [("step", f"{step!r} must be above 0 and at most high - low = {high - low:g}")]
    if knob.kind == "int" and not isinstance(step, int):
        return [("step", f"{step!r} must be whole for {knob.name}")]
    return [("step", "cannot be combined with log")] if log else []


def explain_outside(dimension: Dimension, value: object) -> str | None:
    """Return why ``value`` is not a point of ``dimension``; None if it is one.

    Rounding errors are ignored: 0.1 + 0.2 is 0.3.
    """
    if isinstance(dimension, Choice):
        return None if value in dimension.values else f"is not one of {', '.join(map(str, dimension.values))}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is not a number"
    at_end = any(math.isclose(value, end, rel_tol=NEAR) for end in (dimension.low, dimension.high))
    if not (dimension.low <= value <= dimension.high or at_end):
        return f"is not within {dimension.low:g} to {dimension.high:g}"
    step = find_step(dimension)
    steps = (value - dimension.low) / step if step else 0.0
    if step and abs(steps - min(round(steps), count_steps(dimension))) > 1e-8 * max(1.0, steps):
        return f"is not a step of {step:g} from {dimension.low:g}"
    return None


def find_step(dimension: Range) -> float | None:
    """Return the step from one point to the next; None if all numbers are allowed."""
    return dimension.step or (1 if dimension.kind == "int" else None)


def count_steps(dimension: Range) -> int:
    """Return the number of steps from the lowest point to the highest, of a dimension with steps."""
    step = _convert_exactly(find_step(dimension) or 1)
    return math.floor(
        (_convert_exactly(dimension.high) - _convert_exactly(dimension.low)) / step + Decimal(NEAR)
    )


def find_point(dimension: Range, steps: int) -> float | int:
    """Return the point ``count`` steps above ``low``, rounded as a person writes it: three steps of 0.1 are
    0.3."""
    value = _convert_exactly(dimension.low) + steps * _convert_exactly(find_step(dimension) or 1)
    if dimension.kind == "int":
        return int(value)
    return min(float(value), dimension.high)


def find_nearest_point(dimension: Range, value: float) -> float | int:
    """Return the point of ``dimension`` that is nearest to ``value``; ``value`` itself where it is one."""
    step = find_step(dimension)
    value = min(max(value, dimension.low), dimension.high)
    return (
        find_point(dimension, min(round((value - dimension.low) / step), count_steps(dimension)))
        if step
        else value
    )


def _convert_exactly(number: float) -> Decimal:
    """Return the number without the rounding error of its binary form."""
    return Decimal(repr(number))


def count_points(space: Space) -> float:
    """Return the number of different trials in the space; ``inf`` with a dimension without steps."""
    total = 1.0
    for dimension in space.values():
        if isinstance(dimension, Choice):
            total *= len(dimension.values)
        elif find_step(dimension):
            total *= count_steps(dimension) + 1
        else:
            return math.inf
    return total
