"""The Optuna study. It runs in the search process, never in the engine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from core.contract.spec import study_spec
from core.contract.spec.conditional_knobs import list_idle
from core.contract.spec.search_space import explain_outside
from core.contract.text.sanitize import sanitize
from core.errors import SpecError, TrimtabError
from core.search.optuna_space import from_optuna, make_distributions, suggest_knobs, to_optuna
from core.search.pruners import wilcoxon_pruner
from core.search.pruners.prune_reasons import explain_prune
from core.search.pruners.pruner_choice import make_pruner
from core.search.samplers.brute_force_sampler import LOST as LOST_POINT
from core.search.samplers.sampler_choice import (
    count_remaining,
    count_trials_learnt_from,
    explain_sampler,
    make_sampler,
)
from core.search.search_pipe_messages import Proposal
from core.search.study import warm_start
from core.search.study.optuna_storage import find_address, open_storage
from core.search.study.space_generations import begin

ATTEMPTS = 3  # SQLite may fail at once instead of waiting, if waiting would deadlock
# An infeasible trial is reported as pruned before its first value: TPE ranks it last and avoids its
# neighbourhood, while a failed trial would be ignored.
TOLD = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "aside": TrialState.FAIL,  # complete, but trained with other knobs than its parameters
}
ASIDE = "trimtab:aside"  # user attribute: the values of such a trial


LOST = "lost"  # a trial number without any record


class OptunaStudy:
    """Answers ask, report and tell for one study. ``search_server`` calls its methods."""

    def __init__(self, raw: dict[str, Any], folder: str) -> None:
        self.spec = study_spec.read(raw)
        self.url = find_address(self.spec, Path(folder))
        self._news: list[str] = []
        with self._storage_errors():
            self.study = self._open()

    def _open(self) -> optuna.Study:
        goals = self.spec.study.objectives
        arguments = {"directions": [goal.direction for goal in goals], "pruner": make_pruner(self.spec)}
        study = begin(self.spec, open_storage(self.url), arguments)
        self._check_directions(study)
        if self.spec.study.warm_start and not study.get_trials(deepcopy=False):
            self._news = warm_start.begin(self.spec, study)
        study.sampler = make_sampler(self.spec, past_trials=len(study.get_trials(deepcopy=False)))
        study.set_metric_names([goal.metric for goal in goals])
        study.stop = lambda: None  # a finished grid stops an optimize loop, which is not used
        return study

    def _check_directions(self, study: optuna.Study) -> None:
        expected = [goal.direction for goal in self.spec.study.objectives]
        stored = [direction.name.lower() for direction in study.directions]
        if stored != expected:
            raise SpecError.of(
                f"the stored study's directions are {', '.join(stored)},"
                f" the study file's {', '.join(expected)}",
                f"study {self.spec.study.name} in {self.url}",
                "use another study.name, or the objectives that the study started with",
            )

    @contextlib.contextmanager
    def _storage_errors(self) -> Any:
        try:
            yield
        except (OptunaError, SQLAlchemyError, ImportError, ValueError) as error:
            cause = error.__cause__ or error
            raise TrimtabError.of(
                f"Optuna's storage failed: {sanitize(str(cause), 300)}",
                sanitize(self.url),
                "close programs that lock it, free disk space, or set study.storage to another database",
            ) from error

    # -- what the engine calls --------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of trials in the storage, which is the number of the next trial."""
        return len(self.study.get_trials(deepcopy=False))

    def ask(self, first: int) -> Proposal | None:
        """Return the next trial; None if the space is exhausted. Trials from number ``first`` on were never
        handed out (the process died meanwhile) and are dropped."""
        self._give_up(lambda trial: trial.number >= first)
        if count_remaining(self.spec, self.study.sampler, self.study) == 0:
            return None
        learnt = count_trials_learnt_from(self.spec, self.study)
        params = suggest_knobs(self.spec.space, trial := self.study.ask())
        why = explain_sampler(self.spec, self.study.sampler, trial.number, learnt)
        if origin := trial.user_attrs.get(warm_start.FROM):
            why = f"warm start: as {origin}"
        return Proposal(trial.number, params, self._complete_knobs(params), why)

    def _complete_knobs(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return all knobs: fixed ones, searched ones, and the rest values of conditional knobs that do not
        apply."""
        knobs = {**self.spec.train, **params}
        return {**knobs, **list_idle(self.spec.space, knobs)}

    def enqueue(self, first: int, params: dict[str, Any], counted: bool) -> Proposal:
        """Add a user's trial. If it is ``counted``, its ``params`` lie in the space and the sampler fills in
        missing ones; otherwise Optuna stores only its number."""
        self._give_up(lambda trial: trial.number >= first)
        if counted:
            attributes = {"fixed_params": self._store_params(params)}
            template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs=attributes)
            # not enqueue_trial: a trial that already waits in the storage would be handed out instead
            trial_id = self.study._storage.create_new_trial(self.study._study_id, template)
            trial = optuna.Trial(self.study, trial_id)
            params = suggest_knobs(self.spec.space, trial)
            return Proposal(trial.number, params, self._complete_knobs(params), "by hand")
        self.study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
        return Proposal(self.count() - 1, {}, dict(self.spec.train), "by hand")

    def take_notes(self) -> list[str]:
        """Return notes about opening the study, returned once."""
        notes, self._news = self._news, []
        return notes

    def report(
        self, number: int, step: int, metrics: dict[str, float], rows: list[float] | None = None
    ) -> str | None:
        """Store the objective's value at a step, and the losses of the validation ``rows``; returns the
        reason if the pruner stops the trial."""
        goals = self.spec.study.objectives
        value = metrics.get(goals[0].metric)
        if len(goals) > 1 or value is None:
            return None
        storage, trial_id = self.study._storage, self._find_id(number)
        try:
            if rows:
                storage.set_trial_system_attr(
                    trial_id, wilcoxon_pruner.make_key(step), wilcoxon_pruner.encode_losses(rows)
                )
            storage.set_trial_intermediate_value(trial_id, step, float(value))
            pruned = self.study.pruner.prune(self.study, storage.get_trial(trial_id))
        except UpdateFinishedTrialError:
            return None  # ended meanwhile
        return explain_prune(self.spec, self.study, storage.get_trial(trial_id)) if pruned else None

    def constrain(self, number: int, name: str, violation: float) -> None:
        """Store the violation of constraint ``name``. A later value replaces it; values after the trial's end
        are ignored."""
        if violation == violation:
            key = f"{_CONSTRAINTS_KEY}:{name}"
            with contextlib.suppress(UpdateFinishedTrialError):
                self.study._storage.set_trial_system_attr(self._find_id(number), key, float(violation))

    def tell(self, number: int, state: str, values: list[float]) -> None:
        """End a trial; an ended trial is not changed."""
        optuna_state = TOLD[state]
        if state == "aside":
            self._note_aside(number, values)
        if optuna_state is TrialState.COMPLETE and not self._are_usable(values):
            optuna_state = TrialState.FAIL
        if self.spec.space and not self._params(number):  # outside the space: samplers fail on it
            optuna_state = TrialState.FAIL
        result = values if optuna_state is TrialState.COMPLETE else None
        self.study.tell(number, values=result, state=optuna_state, skip_if_finished=True)

    def _params(self, number: int) -> dict[str, Any]:
        result: dict[str, Any] = self.study._storage.get_trial(self._find_id(number)).params
        return result

    def _note_aside(self, number: int, values: list[float]) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self.study._storage.set_trial_user_attr(self._find_id(number), ASIDE, values)

    def _are_usable(self, values: list[float]) -> bool:
        finite = [value for value in values if value == value and abs(value) != float("inf")]
        return len(finite) == len(self.spec.study.objectives)

    def list_missing(self, numbers: list[int]) -> list[int]:
        """Return the ``numbers`` that the storage lacks or has as running, for which it still accepts
        values."""
        stored = self.study.get_trials(deepcopy=False)
        return [
            number for number in numbers if number >= len(stored) or not stored[number].state.is_finished()
        ]

    def list_unknown_results(self, numbers: list[int]) -> list[int]:
        """Return the trials with results that are not in ``numbers`` and do not come from a warm start.

        They belong to another program, or to a study whose journal was deleted.
        """
        results = (
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state is TrialState.COMPLETE or trial.intermediate_values
        )
        return [
            trial.number
            for trial in results
            if warm_start.FROM not in trial.user_attrs and trial.number not in numbers
        ]

    def reconcile(
        self,
        trials: dict[int, tuple[str, list[float], dict[str, Any]]],
        readings: dict[int, tuple[list[int], list[float]]] | None = None,
    ) -> None:
        """Make the storage agree with the journal. ``trials`` are all its trials, as (state, values, params)
        by number; ``readings`` are objective curves by number, as steps and values. Trials that a lost or
        older storage lacks are added again under the journal's numbers."""
        self._give_up(lambda trial: trial.number not in trials)
        for number in range(self.count(), max(trials, default=-1) + 1):
            self.study.add_trial(
                self._rebuild_trial(*trials.get(number, (LOST, [], {})), self._read(readings, number))
            )
        stored = self.study.get_trials(deepcopy=False)
        for number in set(readings or ()) & set(trials):
            self._read_again(stored[number], self._read(readings, number))
        for number, (state, values, _) in sorted(trials.items()):
            if state in TOLD and not stored[number].state.is_finished():
                self.tell(number, state, values)

    def _read(self, readings: Any, number: int) -> dict[int, float]:
        """Return the trial's values by step; empty with several objectives, for which Optuna stores none."""
        if len(self.spec.study.objectives) > 1 or not readings or number not in readings:
            return {}
        return dict(zip(*readings[number], strict=True))

    def _read_again(self, trial: FrozenTrial, readings: dict[int, float]) -> None:
        """Add the values of a running trial that could not be reported at the time."""
        if trial.state.is_finished():
            return
        for step in sorted(set(readings) - set(trial.intermediate_values)):
            self.study._storage.set_trial_intermediate_value(trial._trial_id, step, readings[step])

    def _rebuild_trial(
        self, state: str, values: list[float], params: dict[str, Any], readings: dict[int, float]
    ) -> FrozenTrial:
        """Return a copy of a trial from the journal, without its parameters if they do not fit the present
        space."""
        optuna_state = TrialState.FAIL if state == LOST else TOLD.get(state, TrialState.RUNNING)
        if optuna_state is TrialState.COMPLETE and not self._are_usable(values):
            optuna_state = TrialState.FAIL
        space = make_distributions(self.spec.space)
        in_space = {name: value for name, value in params.items() if name in space}
        fits = not any(explain_outside(self.spec.space[name], value) for name, value in in_space.items())
        stored_params = self._store_params(in_space)
        return optuna.trial.create_trial(
            state=optuna_state,
            values=values if optuna_state is TrialState.COMPLETE else None,
            params=stored_params if fits else {},
            distributions={name: space[name] for name in stored_params} if fits else {},
            intermediate_values=readings,
        )

    def _store_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return points of the space as Optuna stores them."""
        return {name: to_optuna(value) for name, value in from_optuna(self.spec.space, params).items()}

    def _give_up(self, unknown: Any) -> None:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in filter(unknown, running):
            self._drop(trial)

    def _drop(self, trial: FrozenTrial) -> None:
        if "grid_id" in trial.system_attrs:  # its cell of the grid is free again
            self.study._storage.set_trial_system_attr(trial._trial_id, "grid_id", -1)
        self.study._storage.set_trial_system_attr(trial._trial_id, LOST_POINT, True)
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _find_id(self, number: int) -> int:
        result: int = self.study._storage.get_trial_id_from_study_id_trial_number(
            self.study._study_id, number
        )
        return result

    def call(self, method: str, arguments: list[Any]) -> Any:
        """Call one of the methods above, and retry if the database is locked."""
        for attempt in range(ATTEMPTS):
            try:
                with self._storage_errors():
                    return getattr(self, method)(*arguments)
            except TrimtabError as error:
                if "locked" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
        return None
