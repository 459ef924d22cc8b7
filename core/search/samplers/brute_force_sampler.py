"""Brute-force sampler: every point of a finite space once, in random order."""

from __future__ import annotations

import copy
from typing import Any

from optuna.samplers import BruteForceSampler
from optuna.trial import FrozenTrial

from core.contract.spec.search_space import Space, count_points
from core.search.optuna_space import from_optuna, make_distributions, to_optuna

LOST = "trimtab:lost"  # marks a proposal that was never received: its point is free again


class ExhaustiveSampler(BruteForceSampler):
    """Optuna's brute-force sampler, restricted to the trials of exactly this space.

    Optuna's own raises an error for a trial without parameters or from another space, and counts a lost
    proposal as tried. Points that differ in ``fixed`` are not counted.
    """

    def __init__(self, space: Space, fixed: dict[str, Any], seed: int) -> None:
        super().__init__(seed=seed)
        self._dimensions, self._space, self._fixed = space, make_distributions(space), fixed
        self._size = int(
            count_points({name: dimension for name, dimension in space.items() if name not in fixed})
        )
        self._known: dict[int, bool] = {}  # by ended trial: does it belong to this space?

    def count_points_left(self, study: Any) -> int:
        """Return the number of points that no trial has tried or is trying."""
        points_held = (
            self._round_to_points(trial) for trial in study.get_trials(deepcopy=False) if self._holds(trial)
        )
        points = {
            tuple(params[name] for name in self._space) for params in points_held if self._agrees(params)
        }
        return self._size - len(points)

    def after_trial(self, *_: Any) -> None:
        """Do nothing: Optuna's version counts the rest again to stop an optimize loop, which is not used."""

    def _populate_tree(self, tree: Any, trials: list[FrozenTrial], params: dict[str, Any]) -> None:
        points_held = [self._move_to_its_point(trial) for trial in trials if self._holds(trial)]
        BruteForceSampler._populate_tree(tree, points_held, {**params, **self._fixed})

    def _round_to_points(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return the parameters as exact points: another sampler may have stored 0.1 + 0.2 for 0.3."""
        return {name: to_optuna(value) for name, value in from_optuna(self._dimensions, trial.params).items()}

    def _move_to_its_point(self, trial: FrozenTrial) -> FrozenTrial:
        exact = self._round_to_points(trial)
        if exact == trial.params:
            return trial
        copied = copy.copy(trial)
        copied.params = exact
        return copied

    def _agrees(self, params: dict[str, Any]) -> bool:
        return all(params[name] == value for name, value in self._fixed.items())

    def _holds(self, trial: FrozenTrial) -> bool:
        holds = self._known.get(trial.number)
        if holds is None:
            holds = trial.distributions == self._space and LOST not in trial.system_attrs
            if trial.state.is_finished():
                self._known[trial.number] = holds
        return holds
