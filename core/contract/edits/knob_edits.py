"""Which knobs a person may change in a trial, as numbers or as factors of what they are; checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from core.contract.spec.conditional_knobs import met, searched
from core.contract.spec.knob_table import CLONE_KEEPS, KNOBS, fault
from core.contract.spec.search_space import outside
from core.contract.spec.study_spec import StudySpec
from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.value_bounds import MOST_STEPS
from core.errors import Problem, RefusedError

LONGEST_FACTOR = 40  # characters
EVERY = "evaluate_every"  # beside the knobs: steps between two evaluations of this trial
LIVE = (*(knob.name for knob in KNOBS.values() if knob.live), EVERY)
_FACTOR = re.compile(r"[x×*]\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)", re.IGNORECASE)


def resolved(now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` as values: a text such as "x0.5" multiplies what the knob is ``now``."""
    return {name: _value(name, now.get(name), value) for name, value in changes.items()}


def _value(name: str, now: Any, wanted: Any) -> Any:
    found = _factor(wanted)
    if found is None or not isinstance(now, int | float) or isinstance(now, bool):
        return wanted
    product = now * float(found[1])
    if not math.isfinite(product):
        return product  # which no knob may be
    return max(1, round(product)) if isinstance(now, int) and name != "learning_rate" else product


def _factor(wanted: Any) -> re.Match[str] | None:
    """The number in a text such as "x0.5"; a long text is none."""
    text = wanted.strip() if isinstance(wanted, str) and len(wanted) <= LONGEST_FACTOR else ""
    return _FACTOR.fullmatch(text)


def wrong(name: str, value: Any) -> str | None:
    """Why ``name`` cannot have ``value``; None when it can."""
    if name == EVERY:
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_STEPS
        return None if whole else f"must be a whole number from 1 to {MOST_STEPS}"
    return fault(KNOBS[name], value)


def checked_edit(trial: s.Trial, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an edit of a trial leads to. Raises RefusedError with all that is wrong."""
    fresh = trial.state == s.QUEUED and not trial.checkpoint
    allowed = (*KNOBS, EVERY) if fresh else LIVE
    why = "may not change while the trial lives; clone it with another value"
    values = _checked(trial, changes, allowed, why)
    if not fresh and "steps" in values and (values["steps"] or 0) <= trial.step:
        raise _refused(trial, [f"steps = {values['steps']!r}: {trial.step} are done already"])
    return values


def checked_clone(trial: s.Trial, changes: Mapping[str, Any], step: int) -> dict[str, Any]:
    """All knobs of a clone that begins at ``step``. Raises RefusedError with all that is wrong."""
    allowed = [name for name in (*KNOBS, EVERY) if name not in CLONE_KEEPS]
    why = "cannot change with the weights kept; queue a new trial by hand"
    values = _checked(trial, changes, allowed, why)
    knobs = {**trial.knobs, **trial.editing, **values}
    if knobs.get("steps") and knobs["steps"] <= step:
        raise _refused(trial, [f"steps = {knobs['steps']}: trial {trial.number} has done {step} already"])
    return knobs


def _checked(trial: s.Trial, changes: Mapping[str, Any], allowed: Any, not_allowed: str) -> dict[str, Any]:
    values = resolved({**trial.knobs, **trial.editing}, changes)
    faults = []
    for name, value in values.items():
        label = plain(f"{name} = {value!r}", 100)
        if name not in KNOBS and name != EVERY:
            faults.append(f"{label}: there is no such knob")
        elif name not in allowed:
            faults.append(f"{label}: {not_allowed}")
        elif told := wrong(name, value):
            faults.append(f"{label}: {told}")
    if faults:
        raise _refused(trial, faults)
    return values


def _refused(trial: s.Trial, faults: list[str]) -> RefusedError:
    fix = f"live: {', '.join(LIVE)}" if any("may not change" in one for one in faults) else ""
    return RefusedError(*(Problem(one, f"trial {trial.number}", fix) for one in faults))


def by_hand(
    spec: StudySpec, like: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The knobs of a trial written by hand, ``given`` over ``like``, and whether it lies in the space so that
    samplers may learn from it. Knobs of the space that nobody gives are left to the sampler.

    Raises RefusedError with all that is wrong.
    """
    trial = s.Trial(-1, knobs={**spec.train, **like})
    _checked_by_hand(given)
    knobs = {**like, **resolved(trial.knobs, given)}
    inside = not any(
        name in knobs and met(one, knobs) and outside(one, knobs[name]) for name, one in spec.space.items()
    )
    same = all(
        knobs.get(name, value) == value for name, value in spec.train.items() if name not in spec.space
    )
    counted = inside and same and EVERY not in knobs
    missing = [name for name in searched(spec.space, knobs) if name not in knobs]
    if missing and not counted:
        what = f"{', '.join(missing)}: not given, and no sampler fills in a trial that lies outside the space"
        raise RefusedError.of(what, "trial by hand", "give them, or take another trial as the pattern")
    return knobs, counted


def _checked_by_hand(given: Mapping[str, Any]) -> None:
    faults = []
    for name, value in given.items():
        label = plain(f"{name} = {value!r}", 100)
        if name not in KNOBS and name != EVERY:
            faults.append(f"{label}: there is no such knob")
        elif _factor(value) is None and (told := wrong(name, value)):
            faults.append(f"{label}: {told}")
    if faults:
        raise RefusedError(*(Problem(one, "trial by hand", "") for one in faults))
