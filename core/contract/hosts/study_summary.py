"""A study in one line, as a list of studies of several hosts shows it."""

from __future__ import annotations

import math

import msgspec

from core.contract.state import best_and_counts, study_progress
from core.contract.state import engine_state as s


class StudyState(msgspec.Struct, frozen=True):
    """What `trimtab engine socket` tells of a study; an older trimtab tells only ``name`` and ``state``.

    ``share`` is that of all steps, ``best`` the best value of the first objective, ``metric``, and ``left_s``
    the estimated time left.
    """

    name: str
    state: str
    ended: int = 0
    trials: int = 0
    running: int = 0
    share: float | None = None
    metric: str = ""
    best: float | None = None
    left_s: float | None = None

    @property
    def is_live(self) -> bool:
        """Return whether the study can still run trials."""
        return self.state in s.LIVE_STUDY


def summarize(study: s.Study, now: float) -> StudyState:
    """Return the line of ``study`` at the time ``now`` (Unix seconds)."""
    best = best_and_counts.find_best(study)
    value = best.values[0] if best is not None else None
    return StudyState(
        study.name,
        study.state,
        best_and_counts.count_ended(study),
        study.total_trials,
        best_and_counts.count_states(study).get(s.RUNNING, 0),
        round(study_progress.find_done_share(study), 4),
        study.objectives[0][0],
        value if value is not None and math.isfinite(value) else None,
        study_progress.estimate_study_left_s(study, now),
    )
