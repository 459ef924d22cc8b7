"""The Optuna study itself. It lives in the search process, never in the engine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from core.contract import specfile
from core.contract.plain import plain
from core.errors import SpecError, TrimtabError
from core.search.exhaustive import LOST as LOST_POINT
from core.search.pruner import pruner
from core.search.reason import reason
from core.search.sampler import known, remaining, sampler, sampler_why
from core.search.space import distributions, restored, stored
from core.search.talk import Proposal

LOCK_TIMEOUT_S = 60.0  # how long a SQLite file may be locked by another program
ATTEMPTS = 3  # SQLite may also refuse at once, when waiting would deadlock
# An infeasible trial is told as pruned before its first reading: TPE ranks it last and keeps away
# from there, while a failed trial would be forgotten.
TOLD = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def storage_url(spec: Any, folder: Path) -> str:
    """Where the study is stored: ``study.storage`` with ${NAME} from the environment, else optuna.db in the
    study's folder."""
    if spec.study.storage:
        return os.path.expandvars(spec.study.storage)
    if (folder / "optuna.db").is_symlink():
        raise TrimtabError.of("the storage is a link", str(folder / "optuna.db"), "put the file itself there")
    return f"sqlite:///{folder / 'optuna.db'}"


LOST = "lost"  # a number that nobody knows anything of


class Oracle:
    """Answers ask, report and tell for one study. Its methods are called by core.search.serve."""

    def __init__(self, raw: dict[str, Any], folder: str) -> None:
        self.spec = specfile.parse(raw, folder)
        self.url = storage_url(self.spec, Path(folder))
        with self._storage_errors():
            self.study = self._open()

    def _open(self) -> optuna.Study:
        arguments = {"timeout": LOCK_TIMEOUT_S} if self.url.startswith("sqlite") else {}
        storage = RDBStorage(self.url, engine_kwargs={"connect_args": arguments})
        goals = self.spec.study.objectives
        study = optuna.create_study(
            study_name=self.spec.study.name,
            storage=storage,
            directions=[one.direction for one in goals],
            pruner=pruner(self.spec),
            load_if_exists=True,
        )
        self._same_directions(study)
        study.sampler = sampler(self.spec, past_trials=len(study.get_trials(deepcopy=False)))
        study.set_metric_names([one.metric for one in goals])
        study.stop = lambda: None  # type: ignore[method-assign]  # a finished grid stops loops: here is none
        return study

    def _same_directions(self, study: optuna.Study) -> None:
        wanted = [one.direction for one in self.spec.study.objectives]
        found = [one.name.lower() for one in study.directions]
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
        trial = self.study.ask(distributions(self.spec.space))
        params = restored(self.spec.space, trial.params)
        why = sampler_why(self.spec, self.study.sampler, trial.number, learnt)
        return Proposal(trial.number, params, {**self.spec.train, **params}, why)

    def report(self, number: int, step: int, metrics: dict[str, float]) -> str | None:
        """Note the objective's reading; the reason when the trial should end."""
        goals = self.spec.study.objectives
        value = metrics.get(goals[0].metric)
        if len(goals) > 1 or value is None:
            return None
        storage, trial_id = self.study._storage, self._id(number)
        try:
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
        if told is TrialState.COMPLETE and not self._usable(values):
            told = TrialState.FAIL
        result = values if told is TrialState.COMPLETE else None
        self.study.tell(number, values=result, state=told, skip_if_finished=True)

    def _usable(self, values: list[float]) -> bool:
        finite = [value for value in values if value == value and abs(value) != float("inf")]
        return len(finite) == len(self.spec.study.objectives)

    def reconcile(self, trials: dict[int, tuple[str, list[float], dict[str, Any]]]) -> None:
        """Agree with the journal: ``trials`` is all it knows, as (state, values, params) by number. What a
        lost or older storage does not have is put there again, under the journal's numbers."""
        self._give_up(lambda trial: trial.number not in trials)
        for number in range(self.count(), max(trials, default=-1) + 1):
            self.study.add_trial(self._again(*trials.get(number, (LOST, [], {}))))
        known = self.study.get_trials(deepcopy=False)
        for number, (state, values, _) in sorted(trials.items()):
            if state in TOLD and not known[number].state.is_finished():
                self.tell(number, state, values)

    def _again(self, state: str, values: list[float], params: dict[str, Any]) -> FrozenTrial:
        """A trial as it was; without its parameters where the space has others now."""
        told = TrialState.FAIL if state == LOST else TOLD.get(state, TrialState.RUNNING)
        if told is TrialState.COMPLETE and not self._usable(values):
            told = TrialState.FAIL
        space = distributions(self.spec.space)
        kept = {name: stored(value) for name, value in params.items() if name in space}
        fits = all(space[name]._contains(space[name].to_internal_repr(one)) for name, one in kept.items())
        return optuna.trial.create_trial(
            state=told,
            values=values if told is TrialState.COMPLETE else None,
            params=kept if fits else {},
            distributions={name: space[name] for name in kept} if fits else {},
        )

    def _give_up(self, unknown: Any) -> None:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
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
