"""What a study's events say about the time that it took, and the table of it. Scoring that trials share is
counted by each of them, so that its sum may be longer than the study."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.contract.events import event_types as e
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s

ENDS = (e.TrialCompleted, e.TrialPruned, e.TrialFailed, e.TrialInfeasible)
FIRST: dict[type, str] = {  # what is timed at its first event
    e.TrialRunning: "first trial on the worker",
    e.TrialReported: "first training step",
    e.BaseScored: "first score of the base",
    e.TrialScored: "first board score of a trial",
    e.TrialCompleted: "first complete trial",
}
REACHED = ("engine up", *FIRST.values(), "all trials ended", "study ended")
RATE, BASE_LOSS = "train/tokens_per_s", "quality/loss"
NONE = "–"


@dataclass
class Figures:
    """Of one study; all times are seconds since ``since``, a reading of ``time.monotonic``."""

    since: float
    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)  # began, ended; the first worker's
    rates: list[float] = field(default_factory=list)  # tokens/s of a trial
    pack_rates: list[float] = field(default_factory=list)  # tokens/s of all trials on a base
    scoring_s: float = 0.0  # as the trials tell it: each counts a round that they share
    busy_s: float = 0.0  # time in which at least one trial ran
    study: s.Study | None = None
    cut_short: str = ""
    snapshots: int = 0  # after the first: events were lost in them
    _now: dict[str, str] = field(default_factory=dict)  # the stage of each worker
    _whose: dict[str, str] = field(default_factory=dict)  # the worker of each stage
    _seen_at: float = 0.0
    _busy: bool = False

    def reached(self, what: str, now: float) -> None:
        """Something happened, for the first time."""
        if what not in self.seconds:
            self.seconds[what] = now - self.since
            self.say(f"{now - self.since:7.1f} s  {what}")

    def take(self, now: float, study: s.Study, event: e.Event | None) -> None:
        """The study after an event, or after a snapshot (None)."""
        if self._busy:
            self.busy_s += now - self._seen_at
        self._seen_at = now
        self._busy = any(trial.state == s.RUNNING for trial in study.trials.values())
        self.snapshots += event is None and self.study is not None
        self.study = study
        for kind, what in FIRST.items():
            if isinstance(event, kind):
                self.reached(what, now)
        match event:
            case e.Preparing():
                self._stage(event.worker, event.stage, now - self.since)
            case e.TrialReported() if RATE in event.metrics:
                self.rates.append(event.metrics[RATE])
            case e.PackMeasured() if event.trials and event.round_s:
                self.pack_rates.append(event.tokens / event.round_s)
            case e.TrialScored():
                self.scoring_s += event.took_s
        if isinstance(event, ENDS):
            self.seconds["all trials ended"] = now - self.since  # the last one stays
            trial = study.trials[event.trial]
            self.say(f"{now - self.since:7.1f} s  trial {trial.number} {trial.state} at step {trial.step}")
        if study.state not in s.LIVE_STUDY:
            self.reached("study ended", now)

    def _stage(self, worker: str, stage: str, at_s: float) -> None:
        before = self._now.get(worker, "")
        if self._whose.get(before) == worker:
            self.stages[before] = (self.stages[before][0], at_s)
        if stage and stage not in self.stages:
            self._whose[stage] = worker
            self.stages[stage] = (at_s, at_s)
            self.say(f"{at_s:7.1f} s  {stage}")
        self._now[worker] = stage

    # -- what comes of it --------------------------------------------------------------------------

    @property
    def ended(self) -> dict[str, int]:
        """Trials by their end."""
        trials = self.study.trials.values() if self.study else ()
        return {
            end: sum(trial.state == end for trial in trials)
            for end in (s.COMPLETE, s.PRUNED, s.FAILED, s.INFEASIBLE)
        }

    @property
    def best(self) -> s.Trial | None:
        """The best trial."""
        return best_and_counts.find_best(self.study) if self.study else None

    def values(self) -> dict[str, Any]:
        """All figures but times, by name; None where there is none."""
        best, study = self.best, self.study
        trained_s = sum(trial.elapsed_s for trial in study.trials.values()) if study else 0.0
        goal = study.objectives[0][0] if study else "objective"
        mine = best.scores.get(BASE_LOSS) if best else None
        its = study.base_scores.get(BASE_LOSS) if study else None
        return {
            **{f"trials {end}": count for end, count in self.ended.items()},
            f"best {goal}": best.values[0] if best else None,
            f"{BASE_LOSS} of that trial": mine.value if mine else None,
            f"{BASE_LOSS} of the base": its.value if its else None,
            "scoring: sum of took_s, s": self.scoring_s,
            "scoring: by seconds in which a trial runs": _by(self.scoring_s, self.busy_s),
            "scoring: by the trials' training seconds": _by(self.scoring_s, trained_s),
            "tokens/s of a trial, median": statistics.median(self.rates) if self.rates else None,
            "tokens/s of the pack, median": statistics.median(self.pack_rates) if self.pack_rates else None,
        }

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "study": self.study.name if self.study else None,
            "outcome": self.study.state if self.study else None,
            "cut_short": self.cut_short,
            "snapshots": self.snapshots,
            "seconds": self.seconds,
            "stages": {
                stage: {"began_s": began, "took_s": ended - began}
                for stage, (began, ended) in self.stages.items()
            },
            "seconds_in_which_a_trial_runs": self.busy_s,
            **self.values(),
        }


def _by(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def table(columns: Sequence[Figures]) -> str:
    """The figures of each run side by side."""
    rows = [("seconds since the start", ["first", "again"][: len(columns)])]
    stages = list(dict.fromkeys(stage for column in columns for stage in column.stages))
    rows += [("engine up", [_time(column, "engine up") for column in columns])]
    rows += [(f"  {stage}", [_span(column, stage) for column in columns]) for stage in stages]
    rows += [(what, [_time(column, what) for column in columns]) for what in REACHED[1:]]
    all_values = [column.values() for column in columns]
    names = list(dict.fromkeys(name for values in all_values for name in values))
    rows += [("", [""] * len(columns))]
    rows += [(name, [_number(values.get(name)) for values in all_values]) for name in names]
    lines = [f"{name:<62}" + "".join(f"{cell:>22}" for cell in cells) for name, cells in rows]
    for one in columns:
        if one.cut_short:
            lines.append(f"cut short: {one.cut_short}")
        if one.study is not None and one.study.state not in (s.COMPLETE, *s.LIVE_STUDY):
            lines.append(f"{one.study.name} {one.study.state}: {one.study.why}")
        if one.snapshots:
            lines.append(f"{one.snapshots} snapshots came in place of events: times may be late")
    return "\n".join(line.rstrip() for line in lines)


def _time(figures: Figures, what: str) -> str:
    return f"{figures.seconds[what]:.1f}" if what in figures.seconds else NONE


def _span(figures: Figures, stage: str) -> str:
    """When it began, and how long it took."""
    if stage not in figures.stages:
        return NONE
    began, ended = figures.stages[stage]
    return f"{began:.1f} ({ended - began:.1f} s)"


def _number(value: float | None) -> str:
    if value is None:
        return NONE
    return str(value) if isinstance(value, int) else f"{value:.4g}"
