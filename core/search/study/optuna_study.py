"""The Optuna study itself. It lives in the search process, never in the engine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from core.contract.spec import spec_file
from core.contract.spec.conditional_knobs import idle
from core.contract.spec.search_space import outside
from core.contract.text.sanitize import plain
from core.errors import SpecError, TrimtabError
from core.search.optuna_space import distributions, restored, stored, suggested
from core.search.pruners import wilcoxon_pruner
from core.search.pruners.prune_reasons import reason
from core.search.pruners.pruner_choice import pruner
from core.search.samplers.brute_force_sampler import LOST as LOST_POINT
from core.search.samplers.sampler_choice import known, remaining, sampler, sampler_why
from core.search.search_frames import Proposal
from core.search.study import warm_start
from core.search.study.optuna_storage import address, opened
from core.search.study.space_generations import begin

ATTEMPTS = 3  # SQLite may also refuse at once, when waiting would deadlock
# An infeasible trial is told as pruned before its first reading: TPE ranks it last and keeps away
# from there, while a failed trial would be forgotten.
TOLD = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "aside": TrialState.FAIL,  # complete, but not what its parameters say: nobody learns from it
}
ASIDE = "trimtab:aside"  # user attribute: the values of such a trial


LOST = "lost"  # a number that nobody knows anything of


class Oracle:
    """Answers ask, report and tell for one study. Its methods are called by ``search_server``."""

    def __init__(self, raw: dict[str, Any], folder: str) -> None:
        self.spec = spec_file.parse(raw, folder)
        self.url = address(self.spec, Path(folder))
        self._news: list[str] = []
        with self._storage_errors():
            self.study = self._open()

    def _open(self) -> optuna.Study:
        goals = self.spec.study.objectives
        arguments = {"directions": [goal.direction for goal in goals], "pruner": pruner(self.spec)}
        study = begin(self.spec, opened(self.url), arguments)
        self._same_directions(study)
        if self.spec.study.warm_start and not study.get_trials(deepcopy=False):
            self._news = warm_start.begin(self.spec, study)
        study.sampler = sampler(self.spec, past_trials=len(study.get_trials(deepcopy=False)))
        study.set_metric_names([goal.metric for goal in goals])
        study.stop = lambda: None  # type: ignore[method-assign]  # a finished grid stops loops: here is none
        return study

    def _same_directions(self, study: optuna.Study) -> None:
        wanted = [goal.direction for goal in self.spec.study.objectives]
        found = [direction.name.lower() for direction in study.directions]
        if found != wanted:
            raise SpecError.of(
                f"the stored study has the directions {', '.join(found)}, the file {', '.join(wanted)}",
                f"study {self.spec.study.name} in {self.url}",
                "give the study another name, or the objectives it began with",
            )

    @contextlib.contextmanager
    def _storage_errors(self) -> Any:
        try:
            yield
        except (OptunaError, SQLAlchemyError, ImportError, ValueError) as error:
            cause = error.__cause__ or error
            raise TrimtabError.of(
                f"Optuna's storage does not work: {plain(str(cause), 300)}",
                plain(self.url),
                "close what holds it, free the disk, or set study.storage to another database",
            ) from error

    # -- what the engine calls --------------------------------------------------------------------

    def count(self) -> int:
        """How many trials the storage holds: the number of the next one."""
        return len(self.study.get_trials(deepcopy=False))

    def ask(self, first: int) -> Proposal | None:
        """The next trial, None when the space is used up. Trials from number ``first`` on were never
        handed out (a process died on the way): they are given up."""
        self._give_up(lambda trial: trial.number >= first)
        if remaining(self.spec, self.study.sampler, self.study) == 0:
            return None
        learnt = known(self.spec, self.study)
        params = suggested(self.spec.space, trial := self.study.ask())
        why = sampler_why(self.spec, self.study.sampler, trial.number, learnt)
        if origin := trial.user_attrs.get(warm_start.FROM):
            why = f"warm start: as {origin}"
        return Proposal(trial.number, params, self._knobs(params), why)

    def _knobs(self, params: dict[str, Any]) -> dict[str, Any]:
        """All knobs: those fixed, those searched, and what the others have that are not searched here."""
        given = {**self.spec.train, **params}
        return {**given, **idle(self.spec.space, given)}

    def enqueue(self, first: int, params: dict[str, Any], counted: bool) -> Proposal:
        """A trial by hand. Where it is ``counted`` its ``params`` lie in the space, and the sampler adds
        those that are missing; else Optuna holds its number alone."""
        self._give_up(lambda trial: trial.number >= first)
        if counted:
            wanted = {"fixed_params": self._stored(params)}
            template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs=wanted)
            # not enqueue_trial: what waits in the storage already would be handed out in its place
            trial_id = self.study._storage.create_new_trial(self.study._study_id, template)
            trial = optuna.Trial(self.study, trial_id)
            params = suggested(self.spec.space, trial)
            return Proposal(trial.number, params, self._knobs(params), "by hand")
        self.study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
        return Proposal(self.count() - 1, {}, dict(self.spec.train), "by hand")

    def news(self) -> list[str]:
        """What there is to say about the study's beginning, once."""
        said, self._news = self._news, []
        return said

    def report(
        self, number: int, step: int, metrics: dict[str, float], rows: list[float] | None = None
    ) -> str | None:
        """Note the objective's reading, and the losses of the validation ``rows``; the reason when the trial
        should end."""
        goals = self.spec.study.objectives
        value = metrics.get(goals[0].metric)
        if len(goals) > 1 or value is None:
            return None
        storage, trial_id = self.study._storage, self._id(number)
        try:
            if rows:
                storage.set_trial_system_attr(
                    trial_id, wilcoxon_pruner.key(step), wilcoxon_pruner.stored(rows)
                )
            storage.set_trial_intermediate_value(trial_id, step, float(value))
            pruned = self.study.pruner.prune(self.study, storage.get_trial(trial_id))
        except UpdateFinishedTrialError:
            return None  # ended meanwhile
        return reason(self.spec, self.study, storage.get_trial(trial_id)) if pruned else None

    def constrain(self, number: int, name: str, violation: float) -> None:
        """Optuna's constraint ``name`` of a trial; said a second time the newest counts, and none counts
        that comes after the trial's end."""
        if violation == violation:
            key = f"{_CONSTRAINTS_KEY}:{name}"
            with contextlib.suppress(UpdateFinishedTrialError):
                self.study._storage.set_trial_system_attr(self._id(number), key, float(violation))

    def tell(self, number: int, state: str, values: list[float]) -> None:
        """End a trial; one that has ended already stays as it is."""
        told = TOLD[state]
        if state == "aside":
            self._note_aside(number, values)
        if told is TrialState.COMPLETE and not self._usable(values):
            told = TrialState.FAIL
        if self.spec.space and not self._params(number):  # outside the space: samplers trip over it
            told = TrialState.FAIL
        result = values if told is TrialState.COMPLETE else None
        self.study.tell(number, values=result, state=told, skip_if_finished=True)

    def _params(self, number: int) -> dict[str, Any]:
        return self.study._storage.get_trial(self._id(number)).params

    def _note_aside(self, number: int, values: list[float]) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self.study._storage.set_trial_user_attr(self._id(number), ASIDE, values)

    def _usable(self, values: list[float]) -> bool:
        finite = [value for value in values if value == value and abs(value) != float("inf")]
        return len(finite) == len(self.spec.study.objectives)

    def lacking(self, numbers: list[int]) -> list[int]:
        """Those of ``numbers`` that the storage does not have, or has as running: they may be told more."""
        known = self.study.get_trials(deepcopy=False)
        return [number for number in numbers if number >= len(known) or not known[number].state.is_finished()]

    def strangers(self, numbers: list[int]) -> list[int]:
        """Trials with results that are not of ``numbers``, nor an earlier study's for a warm start: somebody
        else's, or those of a study whose journal is gone."""
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
        """Agree with the journal: ``trials`` is all it knows, as (state, values, params) by number, and
        ``readings`` the objective's by number, as steps and values. What a lost or older storage does not
        have is put there again, under the journal's numbers."""
        self._give_up(lambda trial: trial.number not in trials)
        for number in range(self.count(), max(trials, default=-1) + 1):
            self.study.add_trial(
                self._again(*trials.get(number, (LOST, [], {})), self._read(readings, number))
            )
        known = self.study.get_trials(deepcopy=False)
        for number in set(readings or ()) & set(trials):
            self._read_again(known[number], self._read(readings, number))
        for number, (state, values, _) in sorted(trials.items()):
            if state in TOLD and not known[number].state.is_finished():
                self.tell(number, state, values)

    def _read(self, readings: Any, number: int) -> dict[int, float]:
        """By step; nothing with several objectives, for which Optuna takes no readings."""
        if len(self.spec.study.objectives) > 1 or not readings or number not in readings:
            return {}
        return dict(zip(*readings[number], strict=True))

    def _read_again(self, trial: FrozenTrial, readings: dict[int, float]) -> None:
        """What was read while nobody could be told, of a trial that has not ended."""
        if trial.state.is_finished():
            return
        for step in sorted(set(readings) - set(trial.intermediate_values)):
            self.study._storage.set_trial_intermediate_value(trial._trial_id, step, readings[step])

    def _again(
        self, state: str, values: list[float], params: dict[str, Any], readings: dict[int, float]
    ) -> FrozenTrial:
        """A trial as it was; without its parameters where the space has others now."""
        told = TrialState.FAIL if state == LOST else TOLD.get(state, TrialState.RUNNING)
        if told is TrialState.COMPLETE and not self._usable(values):
            told = TrialState.FAIL
        space = distributions(self.spec.space)
        known = {name: value for name, value in params.items() if name in space}
        fits = not any(outside(self.spec.space[name], value) for name, value in known.items())
        kept = self._stored(known)
        return optuna.trial.create_trial(
            state=told,
            values=values if told is TrialState.COMPLETE else None,
            params=kept if fits else {},
            distributions={name: space[name] for name in kept} if fits else {},
            intermediate_values=readings,
        )

    def _stored(self, params: dict[str, Any]) -> dict[str, Any]:
        """Points of the space as Optuna keeps them."""
        return {name: stored(value) for name, value in restored(self.spec.space, params).items()}

    def _give_up(self, unknown: Any) -> None:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in filter(unknown, running):
            self._drop(trial)

    def _drop(self, trial: FrozenTrial) -> None:
        if "grid_id" in trial.system_attrs:  # its cell of the grid is free again
            self.study._storage.set_trial_system_attr(trial._trial_id, "grid_id", -1)
        self.study._storage.set_trial_system_attr(trial._trial_id, LOST_POINT, True)
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _id(self, number: int) -> int:
        return self.study._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)

    def call(self, method: str, arguments: list[Any]) -> Any:
        """One of the methods above. A database that is locked is asked again."""
        for attempt in range(ATTEMPTS):
            try:
                with self._storage_errors():
                    return getattr(self, method)(*arguments)
            except TrimtabError as error:
                if "locked" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
        return None
