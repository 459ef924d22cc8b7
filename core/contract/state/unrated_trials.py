"""Trials whose result waits for people: ``feedback/strength`` is an objective, and a strength needs ratings.
Pure."""

from __future__ import annotations

import math

from msgspec.structs import replace

from core.contract.spec.metric_table import STRENGTH
from core.contract.spec.study_spec import COUNTED, StudySpec
from core.contract.state import engine_state as s

UNINFORMED = (*COUNTED, "random", "qmc")  # samplers that learn from no result
LEAST_AHEAD = 2  # trials that may wait for ratings before the sampler waits too: a pair


def awaits_ratings(spec: StudySpec) -> bool:
    """Tell whether trials have a result only after people have rated their answers."""
    return any(objective.metric == STRENGTH for objective in spec.study.objectives)


def count_ratings(trial: s.Trial) -> int:
    """Return how often the trial's answers were compared with others."""
    score = trial.scores.get(STRENGTH)
    return score.samples if score is not None else 0


def is_unrated(study: s.Study, trial: s.Trial) -> bool:
    """Tell whether the trial is complete and has too few ratings for a result."""
    is_complete = trial.state == s.COMPLETE and not trial.pending and not trial.values
    return is_complete and awaits_ratings(study.settings)


def list_unrated(study: s.Study) -> list[s.Trial]:
    """Return the complete trials that wait for ratings."""
    if not awaits_ratings(study.settings):
        return []
    return [trial for trial in study.trials.values() if is_unrated(study, trial)]


def format_wait(study: s.Study, trial: s.Trial) -> str:
    """Return text such as "2 of 5 ratings"; empty if the trial waits for none."""
    if not is_unrated(study, trial):
        return ""
    return f"{count_ratings(trial)} of {study.settings.evaluate.ratings} ratings"


def describe_wait(study: s.Study) -> str:
    """Return how many trials wait and what to do, as a sentence; empty if none waits."""
    unrated = len(list_unrated(study))
    if not unrated:
        return ""
    subject = f"{unrated} complete trial{'s wait' if unrated > 1 else ' waits'} for ratings"
    return (
        f"{subject}: compare answers blind in the console (T, then Tab) until each trial has "
        f"{study.settings.evaluate.ratings}"
    )


def is_far_enough_ahead(study: s.Study) -> bool:
    """Tell whether the sampler waits for ratings: as many trials are unrated as it starts with at random,
    and more proposals would know nothing more."""
    options = study.settings.study
    if options.sampler in UNINFORMED:
        return False
    return len(list_unrated(study)) >= max(LEAST_AHEAD, options.startup_trials)


def add_strength(study: s.Study, trial: s.Trial) -> s.Trial:
    """Return a complete trial with its strength as a result, once it has enough ratings; later ratings
    correct the strength."""
    spec = study.settings
    if trial.state != s.COMPLETE or trial.pending or not awaits_ratings(spec):
        return trial
    if not trial.values and count_ratings(trial) < spec.evaluate.ratings:
        return trial
    values = tuple(trial.latest.get(metric, math.nan) for metric, _ in study.objectives)
    return trial if any(math.isnan(value) for value in values) else replace(trial, values=values)


def add_strengths(study: s.Study) -> s.Study:
    """Return the study with the strength of every trial that has enough ratings as a result."""
    if not awaits_ratings(study.settings):
        return study
    rated = {number: add_strength(study, trial) for number, trial in study.trials.items()}
    return replace(study, trials=type(study.trials)(rated))  # a replay's table stays one
