"""The progress of a study and its trials, and the time left: steps, evaluations, scorings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median
from typing import Any

from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series, add
from core.contract.state.unrated_trials import list_unrated

POINTS = 64  # points kept of a trial's clock
RECENT = 16  # of them give the present speed: other trials may have joined its device or left it
FEW = 3  # steps without an evaluation since a start, from which they alone give the pace
EVALUATING = "evaluating"
ANSWERS = "answers"  # unit of the base's scoring


@dataclass(frozen=True)
class Pace:
    """Seconds of wall time per step, and per evaluation with everything that it includes; ``every`` is the
    number of steps between evaluations."""

    step_s: float
    evaluation_s: float
    every: int

    @property
    def steps_per_s(self) -> float:
        """Return the steps per second, including the evaluations on the way."""
        return 1.0 / max(1e-9, self.step_s + self.evaluation_s / self.every)


@dataclass(frozen=True)
class Scoring:
    """Pending scorings of trials whose training is done: the number of trials, and of their answers so
    far."""

    trials: int
    done: int
    total: int

    def __str__(self) -> str:
        """Return text such as "3 being scored (45 of 96 answers)"; empty where there is nothing to score."""
        if not self.trials:
            return ""
        answers = f" ({self.done} of {self.total} answers)" if self.total else ""
        return f"{self.trials} being scored{answers}"

    @property
    def brief(self) -> str:
        """Return a short form for a narrow line, such as "3 scoring 45/96"."""
        if not self.trials:
            return ""
        return f"{self.trials} scoring" + (f" {self.done}/{self.total}" if self.total else "")


def advance_clock(clock: Series, step: int, at: float, total_steps: int) -> Series:
    """Return ``clock`` with the time ``at`` (Unix seconds) of ``step``, unless the last entry is close to
    it."""
    apart = max(1, total_steps // POINTS)
    if clock.steps and step < clock.steps[-1] + apart:
        return clock
    return add(clock, step, at)


# -- steps ---------------------------------------------------------------------------------------


def count_steps(study: s.Study) -> tuple[int, int]:
    """Return (steps done, steps planned).

    A trial that ended early counts as fully done; one that is not proposed yet has the usual number of steps.
    """
    usual = _find_usual_steps(study)
    steps_done = planned_steps = 0
    for trial in study.trials.values():
        trial_steps = _find_planned_steps(trial, usual)
        steps_done += trial_steps if trial.state in s.ENDED else min(trial.step, trial_steps)
        planned_steps += trial_steps
    return steps_done, planned_steps + usual * max(0, study.total_trials - len(study.trials))


def find_done_share(study: s.Study) -> float:
    """Return the share of steps done, 0 to 1; 1 only if all are done."""
    steps_done, planned = count_steps(study)
    return min(1.0, steps_done / planned) if planned else 0.0


def find_done_percent(study: s.Study) -> int:
    """Return the percentage of steps done, rounded down: 100 means all of them."""
    steps_done, planned = count_steps(study)
    return 100 * steps_done // planned if planned else 0


def _find_usual_steps(study: s.Study) -> int:
    """Return the usual number of steps of a trial; 1 if it is unknown, so that trials are counted."""
    known_steps = [trial.total_steps for trial in study.trials.values() if trial.total_steps]
    steps = study.settings.train["steps"]
    return int(median(known_steps)) if known_steps else int(steps or 1)


def _find_planned_steps(trial: s.Trial, usual: int) -> int:
    return int(trial.total_steps or trial.knobs.get("steps") or usual)


# -- work next to the steps ----------------------------------------------------------------------


def is_evaluating(trial: s.Trial) -> bool:
    """Tell whether all steps are done and the last evaluation is under way."""
    return trial.state == s.RUNNING and 0 < trial.total_steps <= trial.step


def sum_scoring(study: s.Study) -> Scoring:
    """Sum up the scoring that is under way for complete trials."""
    trials = [trial for trial in study.trials.values() if trial.pending]
    return Scoring(
        len(trials), sum(trial.scoring_done for trial in trials), sum(trial.scoring_total for trial in trials)
    )


def describe_rest(study: s.Study, narrow: bool = False) -> list[str]:
    """Return the activities other than steps, such as "1 evaluating", "3 being scored (45 of 96 answers)"
    and "2 wait for ratings"."""
    looking = sum(map(is_evaluating, study.trials.values()))
    activities = [f"{looking} {EVALUATING}"] if looking else []
    scoring = sum_scoring(study)
    activities += [scoring.brief if narrow else str(scoring)] if scoring.trials else []
    unrated = len(list_unrated(study))
    wait = f"{unrated} unrated" if narrow else f"{unrated} wait{'s' * (unrated == 1)} for ratings"
    return [*activities, wait] if unrated else activities


def format_scoring(trial: s.Trial) -> str:
    """Return text such as "scoring 12/36"; empty if the trial is not being scored."""
    if trial.scoring < 0:
        return ""
    if trial.scoring_total:
        return f"scoring {trial.scoring_done}/{trial.scoring_total}"
    return "to be scored" if trial.pending else "scoring"


def make_scoring_record(trial: s.Trial) -> dict[str, Any] | None:
    """Return the trial's scoring for JSON; None if there is none, with total 0 if that is unknown."""
    if trial.scoring < 0:
        return None
    return {"step": trial.scoring, "done": trial.scoring_done, "total": trial.scoring_total}


# -- time ----------------------------------------------------------------------------------------


def measure_pace(study: s.Study, trial: s.Trial) -> Pace | None:
    """Return the trial's speed by the wall time of its steps, or else by their mean time.

    The first step after a start counts only while it is all that is known: it also warms up. Until a few are
    done since then, those of the run before count too. None before the first step.
    """
    eval_interval = int(trial.knobs.get("evaluate_every") or study.settings.evaluate.every)
    earlier, gaps = (_list_gaps(clock, eval_interval) for clock in (trial.earlier_clock, trial.clock))
    earlier = earlier[1:] or earlier
    gaps = gaps[1:] if earlier else gaps[1:] or gaps
    if sum(not looks for *_, looks in gaps) < FEW:
        gaps = earlier + gaps
    elif not any(looks for *_, looks in gaps):
        gaps = [gap for gap in earlier if gap[2]] + gaps
    bare = [seconds / count for count, seconds, looks in gaps if not looks][-RECENT:]
    if bare:
        step_s = median(bare)
        evaluation_times = [(seconds - count * step_s) / looks for count, seconds, looks in gaps if looks]
        return Pace(step_s, max(0.0, median(evaluation_times)) if evaluation_times else 0.0, eval_interval)
    if gaps:  # each includes an evaluation, so the time of steps includes it
        return Pace(median(seconds / count for count, seconds, _ in gaps[-RECENT:]), 0.0, eval_interval)
    if trial.step and trial.elapsed_s:
        return Pace(trial.elapsed_s / trial.step, 0.0, eval_interval)
    return None


def _list_gaps(clock: Series, eval_interval: int) -> list[tuple[int, float, int]]:
    """Return (steps, seconds, evaluations) between each two entries of ``clock``."""
    moments = zip(clock.steps, clock.values, strict=True)
    return [
        (after - before, late - early, (after - 1) // eval_interval - max(0, before - 1) // eval_interval)
        for (before, early), (after, late) in pairwise(moments)
    ]


def estimate_trial_left_s(study: s.Study, trial: s.Trial) -> float | None:
    """Return the seconds until the trial's training is done, including evaluations; None before the first
    step or if all are done."""
    speed = measure_pace(study, trial)
    if trial.state in s.ENDED or speed is None or trial.step >= trial.total_steps:
        return None
    looks = (trial.total_steps - 1) // speed.every - trial.step // speed.every + 1
    return speed.step_s * (trial.total_steps - trial.step) + speed.evaluation_s * looks


def estimate_scoring_left_s(trial: s.Trial) -> float | None:
    """Return the seconds until the trial's scoring is done, from its answers so far; None if they do not
    allow an estimate."""
    began, at = trial.scoring_from
    answers, seconds = trial.scoring_done - began, trial.scoring_at - at
    if trial.scoring < 0 or answers <= 0 or seconds <= 0:
        return None
    return seconds / answers * max(0, trial.scoring_total - trial.scoring_done)


def estimate_study_left_s(study: s.Study, now: float) -> float | None:
    """Return the seconds left in a study; None while it is paused, or if there is no estimate.

    The remaining steps at the pace of the running trials, or of the whole time if none runs, and the scoring
    that they leave for afterwards; at least the time that the slowest trial and the scorings need.
    """
    if study.state not in s.LIVE_STUDY or study.state == "paused":
        return None
    trials = study.trials.values()
    if list_unrated(study) and not any(trial.state in s.ON_WORKER or trial.pending for trial in trials):
        return None  # people decide how long it takes
    training = [estimate_trial_left_s(study, trial) for trial in trials if trial.state == s.RUNNING]
    scoring = [estimate_scoring_left_s(trial) for trial in trials if trial.pending]
    to_come, rate = _count_remaining(study), _measure_rate(study, now)
    if not to_come:
        return max((seconds for seconds in [*training, *scoring] if seconds is not None), default=None)
    if not rate:
        return None
    training_s = max([to_come / rate, *(seconds for seconds in training if seconds is not None)])
    return training_s + _estimate_late_scoring_s(study, training_s, now)


def _estimate_late_scoring_s(study: s.Study, training_s: float, now: float) -> float:
    """Return the seconds of scoring that are left once everything has trained, ``training_s`` from now: as
    long as anything trains, scoring takes ``evaluate.budget`` of the time. 0 until half as many answers were
    given as one scoring has: the first ones wait for their share and tell a fraction of the speed.

    Trials that have not ended are assumed to be complete, and thus scored, as often as those that have.
    """
    base = [work for work in study.preparing.values() if work.unit == ANSWERS and work.total]
    begun = [trial for trial in study.trials.values() if trial.scoring >= 0 and trial.scoring_total]
    speeds = [work.done / (now - work.since) for work in base if now > work.since]
    speeds += [
        (trial.scoring_done - trial.scoring_from[0]) / (trial.scoring_at - trial.scoring_from[1])
        for trial in begun
        if trial.scoring_at > trial.scoring_from[1]
    ]
    if not sum(speeds):
        return 0.0
    usual = max([*(work.total for work in base), *(trial.scoring_total for trial in begun)])
    given = sum(work.done for work in base)
    given += sum(trial.scoring_done - trial.scoring_from[0] for trial in begun)
    if 2 * given < usual:
        return 0.0
    states = [trial.state for trial in study.trials.values()]
    ended, complete = sum(state in s.ENDED for state in states), states.count(s.COMPLETE)
    unended = max(0, study.total_trials - ended)
    answers = sum(work.total - work.done for work in base)
    answers += sum(max(0, (trial.scoring_total or usual) - trial.scoring_done)
                   for trial in study.trials.values() if trial.pending)  # fmt: skip
    expected = answers + usual * unended * (complete / ended if ended else 1.0)
    share = study.settings.evaluate.budget
    return max(0.0, share * expected / sum(speeds) - share * training_s)


def _count_remaining(study: s.Study) -> float:
    """Return the number of remaining steps.

    Trials that have not started are assumed to end as early as those that have ended.
    """
    usual = _find_usual_steps(study)
    ended_shares = [
        min(1.0, trial.step / trial.total_steps)
        for trial in study.trials.values()
        if trial.state in s.ENDED and trial.total_steps
    ]
    early = mean(ended_shares) if ended_shares else 1.0
    steps = early * usual * max(0, study.total_trials - len(study.trials))
    for trial in study.trials.values():
        if trial.state not in s.ENDED:
            remaining = max(0, _find_planned_steps(trial, usual) - trial.step)
            steps += remaining if trial.state in s.ON_WORKER else early * remaining
    return steps


def _measure_rate(study: s.Study, now: float) -> float:
    """Return the steps per second of all trials on workers; 0 before the first step.

    Trials without a measurement count as fast as the others. If none has one, it is the mean over the whole
    time.
    """
    active = [
        trial
        for trial in study.trials.values()
        if trial.state in (s.RUNNING, s.STARTING) and not is_evaluating(trial)
    ]
    speeds = [speed.steps_per_s for trial in active if (speed := measure_pace(study, trial)) is not None]
    if speeds:
        return mean(speeds) * len(active)
    start_times = [trial.started_at for trial in study.trials.values() if trial.started_at]
    steps_done = sum(trial.step for trial in study.trials.values())
    return steps_done / max(1e-9, now - min(start_times)) if start_times else 0.0
