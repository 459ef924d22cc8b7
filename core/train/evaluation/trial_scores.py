"""The scores of a trial: its latest values, its best ones, and the event for a new scoring."""

from __future__ import annotations

from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.metric_table import BOARDS, STRENGTH
from core.contract.spec.study_spec import StudySpec
from core.train.evaluation import evidence_files
from core.train.evaluation.own_best_comparison import BestSamples
from core.train.evaluation.probe_runner import Scored
from core.train.reporter import Reporter


class Diverged(Exception):
    """The loss or its gradient is not finite, or an objective has no value."""


class Scorecard:
    """Scores of one trial. It outlives the training: the last scores may come when the trial is complete."""

    def __init__(self, spec: StudySpec, reporter: Reporter, folder: Path) -> None:
        self._goals = [objective.metric for objective in spec.study.objectives]
        self.reporter, self._folder = reporter, folder
        self.latest: dict[str, float] = {}
        self.unsaid: dict[str, str] = {}  # reason without a value in the latest scoring, by metric
        self.past = BestSamples()

    @property
    def waits(self) -> bool:
        """Whether the boards score an objective."""
        return any(goal.split("/")[0] in BOARDS for goal in self._goals)

    def values(self) -> tuple[float, ...]:
        """The current values of the study's objectives; none where people's ratings give one of them later.
        Raises Diverged if one never had a finite value."""
        measured = [goal for goal in self._goals if goal != STRENGTH]
        missing = [goal for goal in measured if goal not in self.latest]
        if missing:
            why = self.unsaid.get(missing[0])
            raise Diverged(
                f"{missing[0]} has no value: {why}" if why else f"{missing[0]} was never a finite number"
            )
        return tuple(self.latest[goal] for goal in measured) if measured == self._goals else ()

    def take(self, scored: Scored, step: int, elapsed_s: float, last: bool) -> None:
        """Record and report the scores of the snapshot of ``step``.

        The ``last`` scoring of a complete trial reports the objectives that waited for it, or that they have
        no value.
        """
        for name, score in scored.scores.items():
            self.latest.pop(name, None)
            if score.value is not None:
                self.latest[name] = score.value
            self.unsaid[name] = score.reason if score.value is None else ""
        evidence_files.write(self._folder, step, scored.worst, self.reporter.warn)
        values: tuple[float, ...] = ()
        fault = ""
        if last and self.waits:
            try:
                values = self.values()
            except Diverged as error:
                fault = str(error)
        self.reporter.emit(
            e.TrialScored,
            step=step, elapsed_s=elapsed_s, scores=scored.scores, took_s=scored.took_s, values=values,
            changes=scored.changes, since=self.past.compare(scored, step), last=last and not fault,
        )  # fmt: skip
        if fault:
            self.reporter.emit(e.TrialFailed, error=fault, step=step)
