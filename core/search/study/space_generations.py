"""Starts a new Optuna study whenever a study's space changes, with the usable part of its history.

Optuna cannot change the choices or the scale of a parameter that has trials. So each space becomes a separate
Optuna study: "NAME", then "NAME · 2" and so on. Trials keep their numbers. A trial inside the new space is
copied with its parameters and values, and the sampler learns from it; a trial outside is copied as failed,
which samplers ignore.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from core.contract.edits.spec_changes import contains_knobs
from core.contract.spec import spec_file
from core.contract.spec.knob_table import find_knob
from core.contract.spec.search_space import Space, read_dimension
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.search.optuna_space import convert_knobs, from_optuna, make_distributions

MADE_FOR = "trimtab:made for"  # user attribute: the space and the fixed knobs
OUTSIDE = "trimtab:outside"  # user attribute of a trial outside the space
KEPT = (_CONSTRAINTS_KEY, "completed_rung_")  # system attributes that are valid in any space


def make_study_name(name: str, number: int) -> str:
    """Return the name of the Optuna study for space number ``number``, from 1."""
    return name if number == 1 else f"{name} · {number}"


def find_newest(storage: BaseStorage, name: str) -> int:
    """Return the number of the newest space; 0 if there is no study yet."""
    names = {study.study_name for study in storage.get_all_studies()}
    number = 0
    while make_study_name(name, number + 1) in names:
        number += 1
    return number


def begin(spec: StudySpec, storage: BaseStorage, arguments: dict[str, Any]) -> optuna.Study:
    """Open the Optuna study for the space of ``spec``, or create it. ``arguments`` are passed to
    optuna.create_study. Raises SpecError for a study that trimtab did not create."""
    name, own_sections = spec.study.name, _select_sections(spec)
    number = _find_newest_complete(storage, name)
    study = _create(make_study_name(name, number), storage, arguments)
    made_for = study.user_attrs.get(MADE_FOR)
    if made_for is None:
        _refuse_foreign(study, spec)
        study.set_user_attr(MADE_FOR, own_sections)
        return study
    if made_for["space"] == own_sections["space"]:
        return study
    after = _create(make_study_name(name, number + 1), storage, arguments)
    for trial in study.get_trials(deepcopy=False):
        after.add_trial(copy_trial(trial, made_for, spec))
    after.set_user_attr(MADE_FOR, own_sections)  # last: without it the copy counts as incomplete
    return after


def _find_newest_complete(storage: BaseStorage, name: str) -> int:
    """Return the number of the newest space, from 1, after deleting an incomplete copy."""
    number = find_newest(storage, name)
    if number > 1:
        study = optuna.load_study(study_name=make_study_name(name, number), storage=storage)
        if MADE_FOR not in study.user_attrs:
            optuna.delete_study(study_name=make_study_name(name, number), storage=storage)
            number -= 1
    return max(1, number)


def _create(name: str, storage: BaseStorage, arguments: dict[str, Any]) -> optuna.Study:
    return optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **arguments)


def _select_sections(spec: StudySpec) -> dict[str, Any]:
    raw = spec_file.convert_to_raw(spec)
    return {"space": raw["space"], "train": raw["train"]}


def _refuse_foreign(study: optuna.Study, spec: StudySpec) -> None:
    searched = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
    strange = {name for name in searched if find_knob(name) is None}
    if strange:
        names = ", ".join(sanitize(name, 40) for name in sorted(strange)[:4])
        raise SpecError.of(
            f"the storage has a study {spec.study.name!r} of another program, which searches {names}",
            "study.storage",
            "set another study.name or study.storage",
        )


def copy_trial(trial: FrozenTrial, made_for: dict[str, Any], spec: StudySpec) -> FrozenTrial:
    """Return a copy of ``trial`` for the next Optuna study."""
    knobs, before = read_knobs(trial, made_for), set(made_for["space"])
    usable = (trial.params or not before) and contains_knobs(spec, knobs, before)
    params = convert_knobs(spec.space, knobs) if usable else {}
    state = trial.state if usable or not trial.state.is_finished() else TrialState.FAIL
    space = make_distributions(spec.space)
    notes = dict(trial.user_attrs) if usable else {**trial.user_attrs, OUTSIDE: True}
    return optuna.trial.create_trial(
        state=state,
        values=trial.values if state is TrialState.COMPLETE else None,
        params=params,
        distributions={name: space[name] for name in params},
        intermediate_values=trial.intermediate_values if usable else None,
        user_attrs=notes,
        system_attrs={key: value for key, value in trial.system_attrs.items() if key.startswith(KEPT)},
    )


def read_knobs(trial: FrozenTrial, made_for: dict[str, Any]) -> dict[str, Any]:
    """Return all knobs of a trial: its parameters, and the fixed knobs of the space it was proposed for."""
    read = {name: read_dimension(name, raw)[0] for name, raw in made_for["space"].items()}
    space: Space = {name: dimension for name, dimension in read.items() if dimension is not None}
    return {**made_for["train"], **from_optuna(space, trial.params)}
