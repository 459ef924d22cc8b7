"""Computes the importance of knobs with Optuna's evaluators, or says why that is not possible."""

from __future__ import annotations

import importlib
import math
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.search_state import FEWEST, METHODS, Importance
from core.search.optuna_space import make_distributions

HISTORY = {"ped-anova": 5_000, "fanova": 300}  # the number of latest trials to evaluate
TOP, TOP_TRIALS = 0.1, 5  # PED-ANOVA's best quantile, and the fewest trials it should contain
TREES_SEED = 0  # fixed, so that the same trials give the same shares


def compute_importance(spec: StudySpec, trials: list[FrozenTrial], method: str, objective: int) -> Importance:
    """Return the share of each knob in the variation of objective number ``objective``.

    A pruned trial counts with its last value, as it does for samplers that learn, because what makes trials
    bad enough to prune matters. (With several objectives pruned trials have no value.)
    """
    goal = spec.study.objectives[objective]
    empty = Importance(method, goal.metric)
    space = make_distributions(spec.space)
    valued = [(trial, value) for trial in trials if (value := _find_value(trial, objective)) is not None]
    alike = [pair for pair in valued if _is_in_space(pair[0], space)]
    why = _explain_none(method, space, [value for _, value in alike])
    alike_count = len(alike)
    if why:
        return Importance(empty.method, empty.objective, trials=alike_count, known=alike_count, why_none=why)
    recent = alike[-HISTORY[method] :]
    evaluator, asks = _make_evaluator(method, len(recent))
    study = _make_study(recent, space, goal.direction)
    importances = get_param_importances(study, evaluator=evaluator, params=list(space))
    if not all(math.isfinite(share) for share in importances.values()):
        why = f"{method} finds no difference that the knobs explain"
        return Importance(empty.method, empty.objective, trials=alike_count, known=alike_count, why_none=why)
    early = sum(trial.state == TrialState.PRUNED for trial, _ in recent)
    shares = {name: float(share) for name, share in importances.items()}
    return Importance(empty.method, empty.objective, shares, len(recent), early, alike_count, asks)


def _find_value(trial: FrozenTrial, objective: int) -> float | None:
    """Return the trial's result, or the last value of a pruned trial."""
    value = None
    if trial.state == TrialState.COMPLETE:
        value = trial.values[objective]
    elif trial.state == TrialState.PRUNED and objective == 0 and trial.last_step is not None:
        value = trial.intermediate_values[trial.last_step]
    return value if value is not None and math.isfinite(value) else None


def _is_in_space(trial: FrozenTrial, space: dict[str, BaseDistribution]) -> bool:
    """Tell whether the trial is a point of the present space, which may have changed since."""
    params = trial.params
    return all(
        name in params and distribution._contains(distribution.to_internal_repr(params[name]))
        for name, distribution in space.items()
    )


def _explain_none(method: str, space: dict[str, BaseDistribution], values: list[float]) -> str:
    """Return why the shares cannot be computed; empty if they can."""
    if method not in METHODS:
        return f"there is no method {method!r}: use {' or '.join(METHODS)}"
    varied = [name for name, distribution in space.items() if not distribution.single()]
    if not varied:
        return "no knob is searched: none in [space] has more than one value"
    if len(varied) == 1:
        return f"only {varied[0]} is searched, so all differences come from it or from chance"
    if len(values) < FEWEST:
        return f"{len(values)} trials have a value, at least {FEWEST} are needed to rule out chance"
    if min(values) == max(values):
        return f"all {len(values)} trials have the same value {values[0]:.6g}: there is nothing to explain"
    return _explain_no_forest() if method == "fanova" else ""


def _explain_no_forest() -> str:
    """Return why fANOVA cannot run: it needs scikit-learn, which is not a dependency of trimtab."""
    try:
        importlib.import_module("sklearn.ensemble")
    except ImportError as error:
        missing = sanitize(error.name or str(error), 60)
        message = "scikit-learn" if missing == "sklearn" else f"scikit-learn, which lacks {missing}"
        return f"fanova needs {message}: pip install scikit-learn, or use ped-anova"
    return ""


def _make_evaluator(method: str, count: int) -> tuple[BaseImportanceEvaluator, str]:
    """Return the evaluator, and a text on what its shares measure."""
    if method == "fanova":  # Hutter et al. 2014
        return FanovaImportanceEvaluator(seed=TREES_SEED), "of how much trials differ anywhere in the space"
    top = min(0.5, max(TOP, TOP_TRIALS / count))  # Watanabe et al., arXiv:2304.10255
    asks = f"of what sets the best {100 * top:.0f} % apart from all trials"
    return PedAnovaImportanceEvaluator(target_quantile=top), asks


def _make_study(
    recent: list[tuple[FrozenTrial, float]], space: dict[str, BaseDistribution], direction: str
) -> optuna.Study:
    """Return an in-memory study with one objective in which all trials are complete."""
    study = optuna.create_study(direction=direction)
    trials: list[Any] = [
        create_trial(value=value, params={name: trial.params[name] for name in space}, distributions=space)
        for trial, value in recent
    ]
    study.add_trials(trials)
    return study
