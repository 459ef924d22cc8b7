"""Report ended trials to Optuna, and decide when a study ends early."""

from __future__ import annotations

import time

from core.contract.events import event_types as e
from core.contract.spec import cross_key_checks, metric_limits
from core.contract.spec.study_spec import StopOptions, StudySpec
from core.contract.state import engine_state as s
from core.contract.state import stop_conditions
from core.contract.state.stop_conditions import Stop
from core.daemon.study.search_protocol import SearchPort

End = e.TrialCompleted | e.TrialPruned | e.TrialFailed | e.TrialInfeasible
STATES: dict[type, str] = {
    e.TrialCompleted: s.COMPLETE,
    e.TrialPruned: s.PRUNED,
    e.TrialFailed: s.FAILED,
    e.TrialInfeasible: s.INFEASIBLE,
}


class TrialEndings:
    """The trial endings of one study."""

    def __init__(self, spec: StudySpec, search: SearchPort) -> None:
        self._spec, self._search = spec, search
        self._limits = cross_key_checks.parse_constraints(spec.study)

    async def tell(self, study: s.Study, end: End) -> None:
        """Report the violation of each constraint that has a score, then the trial's end."""
        if isinstance(end, e.TrialCompleted | e.TrialPruned):
            for name, violation in metric_limits.measure_violations(
                self._limits, study.trials[end.trial].latest
            ).items():
                await self._search.constrain(end.trial, name, violation)
        values = end.values if isinstance(end, e.TrialCompleted) else ()
        state = STATES[type(end)]
        if not study.trials[end.trial].counted and state in (s.COMPLETE, s.PRUNED):
            state = "aside"  # its parameters are not what it was trained with
        await self._search.tell(end.trial, state, values)

    def enough(self, study: s.Study) -> Stop | None:
        """Return why the study ends now, by study.stop_after; None while it may continue."""
        after = self._spec.study.stop_after
        if after == StopOptions() or study.state != "running":
            return None
        return stop_conditions.find_due(study, after, time.time())


def explain_ending(study: s.Study, why_no_more: str) -> str:
    """Return the result of a complete study in words, and why it proposed fewer trials than planned."""
    complete = sum(1 for trial in study.trials.values() if trial.state == s.COMPLETE)
    return f"{complete} of {len(study.trials)} trials complete" + (f"; {why_no_more}" if why_no_more else "")
