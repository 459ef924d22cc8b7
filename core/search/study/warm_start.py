"""Starts a study from earlier ones: it enqueues their best points, or adds their trials as history."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from core import paths
from core.contract.edits.spec_changes import contains_knobs
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.search.optuna_space import convert_knobs, make_distributions
from core.search.study.optuna_storage import find_address, open_storage
from core.search.study.space_generations import MADE_FOR, find_newest, make_study_name, read_knobs

FROM = "trimtab:from"  # user attribute: the earlier study and trial


@dataclass(frozen=True)
class Earlier:
    """A complete trial of an earlier study, with Optuna's parameters in this study's space."""

    study: str
    number: int
    values: list[float]
    params: dict[str, Any]

    @property
    def origin(self) -> str:
        """The earlier study, trial and result, as text."""
        values = ", ".join(f"{value:.4g}" for value in self.values)
        return f"trial {self.number} of {self.study}, which reached {values}"


def begin(spec: StudySpec, study: optuna.Study) -> list[str]:
    """Add the trials of the studies in ``warm_start`` to a new study; returns notes on unusable trials.

    Raises SpecError for a study that does not exist or has other objectives.
    """
    notes, earlier_trials = [], list[Earlier]()
    for name in spec.study.warm_start:
        usable, outside = _list_trials(spec, name)
        earlier_trials += usable
        if outside:
            notes.append(f"warm start: {outside} trials of {sanitize(name, 80)} lie outside this space")
    if spec.study.warm_start_as == "trials":
        for trial in earlier_trials:
            study.add_trial(_convert_to_history(spec, trial))
    else:
        for trial in _select_best(spec, earlier_trials)[: spec.study.warm_start_best]:
            study.enqueue_trial(trial.params, user_attrs={FROM: trial.origin}, skip_if_exists=True)
    return notes


def _list_trials(spec: StudySpec, name: str) -> tuple[list[Earlier], int]:
    """Return the complete trials of an earlier study inside this space, and the number outside."""
    earlier, study = _open_earlier(name)
    _check_objectives(spec, earlier, name)
    made_for = study.user_attrs.get(MADE_FOR) or _select_sections(earlier)
    inside, outside = [], 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        knobs = read_knobs(trial, made_for)
        if contains_knobs(spec, knobs, set(made_for["space"])):
            params = convert_knobs(spec.space, knobs)
            inside.append(Earlier(earlier.study.name, trial.number, list(trial.values), params))
        else:
            outside += 1
    return inside, outside


def _select_sections(spec: StudySpec) -> dict[str, Any]:
    raw = spec_file.convert_to_raw(spec)
    return {"space": raw["space"], "train": raw["train"]}


def _open_earlier(name: str) -> tuple[StudySpec, optuna.Study]:
    folder = paths.expand_home(name)
    folder = folder if folder.is_absolute() else paths.studies() / name
    fix = "give the name of a study in this home folder, or the path of a study's folder"
    if not (folder / "study.toml").is_file():
        raise SpecError.of(f"warm_start: there is no study {sanitize(name, 80)!r}", "study.warm_start", fix)
    for file in (folder / "study.toml", folder / "optuna.db"):
        if os.path.lexists(file) and not paths.is_own(
            file
        ):  # a foreign SQLite file is not just data: it can have triggers
            message = f"warm_start: {file.name} of {sanitize(name, 80)!r} is a link or another user's"
            raise SpecError.of(message, "study.warm_start", "check the file, then use a copy that you own")
    earlier = spec_file.load(folder / "study.toml")
    storage: BaseStorage = open_storage(find_address(earlier, folder))
    number = find_newest(storage, earlier.study.name)
    if not number:
        raise SpecError.of(f"warm_start: {sanitize(name, 80)!r} has no trials yet", "study.warm_start", fix)
    return earlier, optuna.load_study(study_name=make_study_name(earlier.study.name, number), storage=storage)


def _check_objectives(spec: StudySpec, earlier: StudySpec, name: str) -> None:
    own, earlier_ones = (
        [(goal.metric, goal.direction) for goal in study_spec.study.objectives]
        for study_spec in (spec, earlier)
    )
    if own != earlier_ones:
        metrics = ", ".join(metric for metric, _ in earlier_ones)
        message = f"warm_start: {sanitize(name, 80)!r} has other objectives: {metrics}"
        fix = "remove it: its results cannot be compared with this study's"
        raise SpecError.of(message, "study.warm_start", fix)


def _select_best(spec: StudySpec, trials: list[Earlier]) -> list[Earlier]:
    """Return the trials sorted by the sum of their ranks in each objective, the best first."""
    ranks = [0.0] * len(trials)
    for index, goal in enumerate(spec.study.objectives):
        sign = 1.0 if goal.direction == "minimize" else -1.0
        value = [sign * trial.values[index] for trial in trials]
        for rank, place in enumerate(sorted(range(len(trials)), key=value.__getitem__)):
            ranks[place] += rank
    order = sorted(range(len(trials)), key=ranks.__getitem__)
    return [trials[place] for place in order if all(map(math.isfinite, trials[place].values))]


def _convert_to_history(spec: StudySpec, trial: Earlier) -> FrozenTrial:
    space = make_distributions(spec.space)
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        values=trial.values,
        params=trial.params,
        distributions={name: space[name] for name in trial.params},
        user_attrs={FROM: trial.origin},
    )
