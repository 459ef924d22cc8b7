"""Grid sampler: each cell of a grid once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import GridSampler


class CellsSampler(GridSampler):
    """Optuna's grid sampler, fast with a long history, and with a count of the cells that are left."""

    def count_points_left(self, study: Any) -> int:
        """Return the number of cells that no trial has tried or is trying (Optuna proposes running ones
        again). Cell numbers are valid within one grid: with other fixed knobs it is a different grid."""
        attributes = [trial.system_attrs for trial in study.get_trials(deepcopy=False)]
        trials = [
            attrs
            for attrs in attributes
            if "grid_id" in attrs and self._same_search_space(attrs["search_space"])
        ]
        return len(set(range(self._n_min_trials)) - {attrs["grid_id"] for attrs in trials})

    def after_trial(self, *_: Any) -> None:
        """Do nothing: Optuna's version counts the rest to stop an optimize loop, which is not used."""

    def _same_search_space(self, search_space: Mapping[str, Any]) -> bool:
        """Tell whether the grids are equal.

        Optuna's version compares value by value because of NaN, which takes 1.3 s with 10,000 trials. An
        earlier version of trimtab stored 0.1 + 0.2 for 0.3: those are the same cells.
        """
        own_space = self._search_space
        if search_space == own_space:
            return True
        return search_space.keys() == own_space.keys() and all(
            _have_same_values(values, own_space[name]) for name, values in search_space.items()
        )


def _have_same_values(values: Sequence[Any], other_values: Sequence[Any]) -> bool:
    return len(values) == len(other_values) and all(
        value == other_value
        or (isinstance(value, float) and isinstance(other_value, float) and math.isclose(value, other_value))
        for value, other_value in zip(values, other_values, strict=True)
    )
