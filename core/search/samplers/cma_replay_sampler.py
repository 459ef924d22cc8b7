"""A CMA-ES sampler that replays its state from the trials, since Optuna's own unpickles it from the
storage."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection


class CmaSampler(CmaEsSampler):
    """Optuna's CMA-ES sampler without pickles.

    Mean, step size and covariance depend only on the complete generations, so feeding these in order to a new
    optimizer gives the same state (Hansen, arXiv:1604.00772). That happens once per process.
    """

    _kept: Any = None  # the optimizer, with all complete generations
    _space: dict[str, Any] = {}

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        return {}  # nothing is stored

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Sample the next point. The optimizer is kept between proposals while the space is the same."""
        if search_space != self._space:
            self._kept, self._space = None, dict(search_space)
        result: dict[str, Any] = super().sample_relative(study, trial, search_space)
        return result

    def _restore_optimizer(self, completed_trials: list[Any]) -> Any:
        self._completed = completed_trials
        return self._kept  # if it is None, Optuna calls _init_optimizer

    def _init_optimizer(self, trans: Any, direction: StudyDirection) -> Any:
        optimizer = self._kept = super()._init_optimizer(trans, direction)
        sign = 1.0 if direction == StudyDirection.MINIMIZE else -1.0
        generations: dict[int, list[Any]] = defaultdict(list)
        for trial in self._completed:
            generations[trial.system_attrs.get(self._attr_key_generation, -1)].append(trial)
        while len(generations[optimizer.generation]) >= optimizer.population_size:
            generation = generations[optimizer.generation][: optimizer.population_size]
            if not all(name in trial.params for trial in generation for name in self._space):
                break
            optimizer.tell(
                [(np.asarray(trans.transform(trial.params)), sign * trial.value) for trial in generation]
            )
        return optimizer
