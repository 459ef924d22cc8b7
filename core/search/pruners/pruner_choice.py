"""Builds the Optuna pruner that a study names."""

from __future__ import annotations

from collections.abc import Callable

from optuna import pruners
from optuna.pruners import BasePruner

from core.contract.spec.study_spec import StudySpec
from core.search.pruners.median_pruner import PeersPruner
from core.search.pruners.wilcoxon_pruner import RowsPruner

PERCENTILE = 25.0  # the percentile pruner keeps the best quarter
HALVING_FACTOR = 4
HYPERBAND_FACTOR = 3
PATIENCE = 3  # evaluations, if the spec sets no patience


def _make_median(spec: StudySpec) -> BasePruner:
    return PeersPruner(50.0, spec.study.startup_trials, spec.study.pruner_warmup_steps)


def _make_percentile(spec: StudySpec) -> BasePruner:
    return PeersPruner(PERCENTILE, spec.study.startup_trials, spec.study.pruner_warmup_steps)


def _make_threshold(spec: StudySpec) -> BasePruner:
    bounds, warmup = spec.study.threshold, spec.study.pruner_warmup_steps
    return pruners.ThresholdPruner(bounds.lower, bounds.upper, warmup)


def find_first_rung(spec: StudySpec) -> int:
    """Return optimizer steps before the first rung: at least one evaluation, and after the warm-up."""
    return max(1, spec.evaluate.every, spec.study.pruner_warmup_steps)


def find_patience(spec: StudySpec) -> int:
    """Return evaluations without improvement that the patient pruner allows."""
    return spec.evaluate.patience or PATIENCE


def _make_rows(spec: StudySpec) -> BasePruner:
    return RowsPruner(spec.study.startup_trials, spec.study.pruner_warmup_steps)


def _make_hyperband(spec: StudySpec) -> BasePruner:
    """Return Hyperband with brackets for the steps of a trial if they are fixed; otherwise Optuna waits for a
    complete trial."""
    steps = None if "steps" in spec.space else spec.train.get("steps")
    most = max(int(steps), find_first_rung(spec)) if isinstance(steps, int) else "auto"
    return pruners.HyperbandPruner(find_first_rung(spec), most, HYPERBAND_FACTOR)


PRUNERS: dict[str, Callable[[StudySpec], BasePruner]] = {
    "none": lambda spec: pruners.NopPruner(),
    "median": _make_median,
    "percentile": _make_percentile,
    "halving": lambda spec: pruners.SuccessiveHalvingPruner(find_first_rung(spec), HALVING_FACTOR),
    "hyperband": _make_hyperband,
    "wilcoxon": _make_rows,
    "patient": lambda spec: pruners.PatientPruner(
        _make_median(spec), find_patience(spec), spec.evaluate.min_delta
    ),
    "threshold": _make_threshold,
}


def make_pruner(spec: StudySpec) -> BasePruner:
    """Return the pruner that ``spec`` names; a study with several objectives is not pruned, since Optuna does
    not support it."""
    return PRUNERS["none" if len(spec.study.objectives) > 1 else spec.study.pruner](spec)
