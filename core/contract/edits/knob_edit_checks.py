"""Check the knobs that a person changes in a trial, given as values or as factors of the present value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from core.contract.input_size_limits import MOST_STEPS
from core.contract.spec.conditional_knobs import is_searched, list_searched
from core.contract.spec.knob_table import CLONE_KEEPS, KNOBS, Knob, find_fault, find_knob
from core.contract.spec.search_space import explain_outside
from core.contract.spec.study_spec import EvaluateOptions, StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.errors import Problem, RefusedError

LONGEST_FACTOR = 40  # characters
EVALUATE_EVERY = Knob(  # of one trial; a study has evaluate.every
    "evaluate_every", "int", EvaluateOptions().every, "steps from one evaluation to the next",
    low=1, high=MOST_STEPS, unit="steps", live=True, short="every",
)  # fmt: skip
EDITABLE: dict[str, Knob] = {**KNOBS, EVALUATE_EVERY.name: EVALUATE_EVERY}
LIVE: dict[str, Knob] = {name: knob for name, knob in EDITABLE.items() if knob.live}
_TIMES = ("x", "X", "×", "*")
_FACTOR = re.compile(r"[x×*]\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)", re.IGNORECASE)


def find_editable(name: str) -> Knob | None:
    """Return the knob of that name, of the table, of a mixture or of one trial; None if there is none."""
    return EDITABLE.get(name) or find_knob(name)


def list_editable(knobs: Iterable[str]) -> dict[str, Knob]:
    """Return what may be set of a trial that has these ``knobs``: with a mixture its weights, too."""
    own = {name: find_knob(name) for name in knobs if name not in EDITABLE}
    return EDITABLE | {name: knob for name, knob in own.items() if knob is not None}


def resolve_factors(now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``changes`` as values: a text such as "x0.5" multiplies the present value in ``now``."""
    return {name: _resolve_value(name, now.get(name), value) for name, value in changes.items()}


def _resolve_value(name: str, now: Any, requested: Any) -> Any:
    factor = read_factor(requested)
    if factor is None or not isinstance(now, int | float) or isinstance(now, bool):
        return requested
    product = now * factor
    if not math.isfinite(product):
        return product  # which no knob may be
    return max(1, round(product)) if isinstance(now, int) and name != "learning_rate" else product


def is_factor(name: str, value: object) -> bool:
    """Tell whether ``value`` is written as a factor of the knob, valid or not."""
    knob = find_editable(name)
    is_number = knob is not None and knob.kind in ("float", "int")
    return is_number and isinstance(value, str) and value.startswith(_TIMES)


def read_factor(value: object) -> float | None:
    """Return the number in a text such as "x0.5"; None for any other text, or a long one."""
    text = value.strip() if isinstance(value, str) and len(value) <= LONGEST_FACTOR else ""
    match = _FACTOR.fullmatch(text)
    return None if match is None else float(match[1])


def explain_refusal(name: str, value: Any) -> str | None:
    """Return why ``name`` cannot have ``value``; None when it can."""
    knob = find_editable(name)
    return "is not a knob" if knob is None else find_fault(knob, value)


def find_steps_fault(steps: int | None, steps_done: int) -> str | None:
    """Return why a trial with ``steps_done`` steps cannot have ``steps``; None when it can."""
    return f"must be above {steps_done}, the steps already done" if (steps or 0) <= steps_done else None


def check_edit(trial: s.Trial, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new knob values of an edited trial. Raises RefusedError with every problem."""
    fresh = trial.state == s.QUEUED and not trial.checkpoint
    allowed = list_editable(trial.knobs) if fresh else LIVE
    why = "cannot change once the trial has started; clone it with another value"
    values = _check_changes(trial, changes, allowed, why)
    if not fresh and "steps" in values and (fault := find_steps_fault(values["steps"], trial.step)):
        raise _make_refusal(trial, [f"steps = {values['steps']!r}: {fault}"])
    return values


def check_clone(trial: s.Trial, changes: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return all knobs of a clone that starts at ``step``. Raises RefusedError with every problem."""
    allowed = [name for name in list_editable(trial.knobs) if name not in CLONE_KEEPS]
    why = "cannot change in a clone, which keeps the weights; queue a new trial by hand"
    values = _check_changes(trial, changes, allowed, why)
    knobs = {**trial.knobs, **trial.editing, **values}
    if knobs.get("steps") and (fault := find_steps_fault(knobs["steps"], step)):
        raise _make_refusal(trial, [f"steps = {knobs['steps']}: {fault}"])
    return knobs


def _check_changes(
    trial: s.Trial, changes: Mapping[str, Any], allowed: Any, not_allowed: str
) -> dict[str, Any]:
    values = resolve_factors({**trial.knobs, **trial.editing}, changes)
    faults, editable = [], list_editable(trial.knobs)
    for name, value in values.items():
        label = sanitize(f"{name} = {value!r}", 100)
        if name not in editable:
            faults.append(f"{label}: unknown knob")
        elif name not in allowed:
            faults.append(f"{label}: {not_allowed}")
        elif fault := explain_refusal(name, value):
            faults.append(f"{label}: {fault}")
    if faults:
        raise _make_refusal(trial, faults)
    return values


def _make_refusal(trial: s.Trial, faults: list[str]) -> RefusedError:
    fix = f"live: {', '.join(LIVE)}" if any("may not change" in text for text in faults) else ""
    return RefusedError(*(Problem(text, f"trial {trial.number}", fix) for text in faults))


def check_by_hand(
    spec: StudySpec, like: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Return the knobs of a trial written by hand, ``changes`` over ``like``, and whether the sampler may
    learn from it.

    The sampler learns from trials inside the space. Knobs of the space without a value are left to the
    sampler. Raises RefusedError with every problem.
    """
    trial = s.Trial(-1, knobs={**spec.train, **like})
    _refuse_faulty_knobs(changes, list_editable(spec.train))
    knobs = {**like, **resolve_factors(trial.knobs, changes)}
    inside = not any(
        name in knobs and is_searched(dimension, knobs) and explain_outside(dimension, knobs[name])
        for name, dimension in spec.space.items()
    )
    is_same = all(
        knobs.get(name, value) == value for name, value in spec.train.items() if name not in spec.space
    )
    learnable = inside and is_same and EVALUATE_EVERY.name not in knobs
    missing = [name for name in list_searched(spec.space, knobs) if name not in knobs]
    if missing and not learnable:
        message = (
            f"{', '.join(missing)}: not given, and no sampler fills in a trial that lies outside the space"
        )
        raise RefusedError.of(message, "trial by hand", "give them, or copy another trial")
    return knobs, learnable


def _refuse_faulty_knobs(changes: Mapping[str, Any], editable: Mapping[str, Knob]) -> None:
    faults = []
    for name, value in changes.items():
        label = sanitize(f"{name} = {value!r}", 100)
        if name not in editable:
            faults.append(f"{label}: unknown knob")
        elif read_factor(value) is None and (fault := explain_refusal(name, value)):
            faults.append(f"{label}: {fault}")
    if faults:
        raise RefusedError(*(Problem(text, "trial by hand", "") for text in faults))
