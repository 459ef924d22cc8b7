"""Lists the trials on each rung of successive halving or Hyperband, from Optuna's records."""

from __future__ import annotations

from typing import Any

from optuna.pruners import HyperbandPruner
from optuna.trial import FrozenTrial, TrialState

from core.contract.spec.study_spec import StudySpec
from core.contract.wire.search_state import Entry, Rung
from core.search.pruners.pruner_choice import HALVING_FACTOR, HYPERBAND_FACTOR, find_first_rung, make_pruner

NOTED = "completed_rung_"  # Optuna's key prefix for the value with which a trial reached a rung


def list_rungs(spec: StudySpec, study: Any, trials: list[FrozenTrial]) -> tuple[tuple[Rung, ...], str]:
    """Return every rung that a trial has reached, by bracket and step; or none and the reason."""
    name = spec.study.pruner
    if len(spec.study.objectives) > 1:
        return (), "studies with several objectives are not pruned"
    if name not in ("halving", "hyperband"):
        return (
            (),
            f'the pruner is {name}; only "halving" and "hyperband" compare trials at fixed steps (rungs)',
        )
    bracket_of = _find_brackets(spec, study) if name == "hyperband" else lambda trial: 0
    factor = HYPERBAND_FACTOR if name == "hyperband" else HALVING_FACTOR
    by_rung: dict[tuple[int, int], list[Entry]] = {}
    for trial in trials:
        values = _list_rung_values(trial)
        for rung, value in values.items():
            entry = Entry(trial.number, value, _describe_fate(trial, rung + 1 in values))
            by_rung.setdefault((bracket_of(trial), rung), []).append(entry)
    sign = 1.0 if spec.study.objectives[0].direction == "minimize" else -1.0
    rung_list = []
    for (bracket, rung), entries in sorted(by_rung.items()):
        step = find_first_rung(spec) * factor ** (bracket + rung)
        ordered = sorted(entries, key=lambda entry: (sign * entry.value, entry.trial))
        rung_list.append(Rung(bracket, rung, step, tuple(ordered)))
    why = "" if rung_list else f"no trial has reached the first rung, at step {find_first_rung(spec)}"
    return tuple(rung_list), why


def _list_rung_values(trial: FrozenTrial) -> dict[int, float]:
    """Return the values with which a trial reached its rungs, by rung."""
    keys = [key for key in trial.system_attrs if key.startswith(NOTED)]
    return {int(key.removeprefix(NOTED)): float(trial.system_attrs[key]) for key in keys}


def _describe_fate(trial: FrozenTrial, promoted: bool) -> str:
    if promoted:
        return "promoted"
    match trial.state:
        case TrialState.PRUNED:
            return "stopped"
        case TrialState.COMPLETE:
            return "complete"
        case TrialState.FAIL:
            return "ended"
    return "running"


def _find_brackets(spec: StudySpec, study: Any) -> Any:
    """Return Optuna's function from a trial to its bracket. It depends on the longest complete trial, which
    is as long as the others in most studies; before the first complete trial there are no rungs."""
    hyperband = make_pruner(spec)
    assert isinstance(hyperband, HyperbandPruner)
    hyperband._try_initialization(study)
    return lambda trial: hyperband._get_bracket_id(study, trial)
