"""What a trial has scored: its latest values, its best before, and what is told of a new scoring."""

from __future__ import annotations

from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.search_checks import BOARDS
from core.contract.spec.study_spec import Spec
from core.train.evaluation import evidence_files
from core.train.evaluation.best_samples import Past
from core.train.evaluation.probe_scoring import Scored
from core.train.trial_reporter import TrialReporter


class Diverged(Exception):
    """The loss or its gradient is not a number any more, or an objective has no value."""


class Scorecard:
    """Of one trial. It outlives the training: the last scores may come when the trial is complete."""

    def __init__(self, spec: Spec, voice: TrialReporter, folder: Path) -> None:
        self._goals = [one.metric for one in spec.study.objectives]
        self._voice, self._folder = voice, folder
        self.latest: dict[str, float] = {}
        self.unsaid: dict[str, str] = {}  # why the latest scoring has no value, by metric
        self.past = Past()

    @property
    def voice(self) -> TrialReporter:
        """What tells of the trial."""
        return self._voice

    @property
    def waits(self) -> bool:
        """Is an objective scored by the boards?"""
        return any(goal.split("/")[0] in BOARDS for goal in self._goals)

    def values(self) -> tuple[float, ...]:
        """The study's objectives as they are now. Raises Diverged when one never was a number."""
        missing = [goal for goal in self._goals if goal not in self.latest]
        if missing:
            why = self.unsaid.get(missing[0])
            raise Diverged(
                f"{missing[0]} has no value: {why}" if why else f"{missing[0]} was never a finite number"
            )
        return tuple(self.latest[goal] for goal in self._goals)

    def take(self, scored: Scored, step: int, elapsed_s: float, last: bool) -> None:
        """Keep and tell what the snapshot of ``step`` scored. The ``last`` scoring of a complete trial tells
        the objectives that waited for it, or that they have no value."""
        for name, score in scored.scores.items():
            self.latest.pop(name, None)
            if score.value is not None:
                self.latest[name] = score.value
            self.unsaid[name] = score.reason if score.value is None else ""
        evidence_files.write(self._folder, step, scored.worst, self._voice.warn)
        values: tuple[float, ...] = ()
        fault = ""
        if last and self.waits:
            try:
                values = self.values()
            except Diverged as error:
                fault = str(error)
        self._voice.say(
            e.TrialScored,
            step=step, elapsed_s=elapsed_s, scores=scored.scores, took_s=scored.took_s, values=values,
            changes=scored.changes, since=self.past.compare(scored, step), last=last and not fault,
        )  # fmt: skip
        if fault:
            self._voice.say(e.TrialFailed, error=fault, step=step)
