"""The border that a pruner draws: what a trial's best value must be at a step, and when it is judged. Pure.

It follows what core/search/pruners decides, from the values that the state keeps of the trials.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from dataclasses import dataclass

from core.contract.state import engine_state as s

PERCENTILE = 25.0  # as core.search.pruners.pruner_choice has them, which a test checks
RUNG_FACTORS = {"halving": 4, "hyperband": 3}
COMPARED = (s.COMPLETE, s.RUNNING, s.STARTING, s.PAUSED)  # a failed trial's values may come from its fault
MOST_RUNGS = 12


@dataclass(frozen=True)
class Border:
    """``points`` are steps and the values to be as good as there; none with the reason. ``stepwise``: only
    at these steps trials are judged, else at each evaluation from the first of them on."""

    points: tuple[tuple[int, float], ...] = ()
    direction: str = "minimize"
    stepwise: bool = False
    why_none: str = ""


@dataclass(frozen=True)
class Standing:
    """How far a trial's best value is on the wrong side of the border (``behind`` > 0), and when it is judged
    next; None where no evaluation is to come."""

    behind: float
    step: int
    judged_at: int | None


def find_border(study: s.Study, without: int | None = None) -> Border:
    """Return the border of the study's pruner for its objective, as far as the trials have got; the one that
    the trial ``without`` is held against, to which its own values do not belong; without it, of one more
    trial while one is live, which has its own values among them."""
    options, (metric, direction) = study.settings.study, study.objectives[0]
    if len(study.objectives) > 1:
        return Border(why_none="studies with several objectives are not pruned")
    values = {trial.number: _list_values(trial, metric) for trial in study.trials.values()}
    if options.pruner in ("median", "patient", "percentile"):
        share = PERCENTILE if options.pruner == "percentile" else 50.0
        compared = [
            values[trial.number]
            for trial in study.trials.values()
            if trial.state in COMPARED and trial.number != without
        ]
        own = without is None and any(trial.state in s.ON_WORKER for trial in study.trials.values())
        first, fewest = options.pruner_warmup_steps, max(1, options.startup_trials) + own
        return _find_percentiles(compared, share, direction, first, fewest)
    if options.pruner in RUNG_FACTORS:
        first = max(1, study.settings.evaluate.every, options.pruner_warmup_steps)
        return _find_rungs(list(values.values()), RUNG_FACTORS[options.pruner], direction, first)
    if options.pruner == "threshold":
        return _find_threshold(study, list(values.values()), direction)
    if options.pruner == "none":
        return Border(why_none="the study has no pruner")
    return Border(why_none=f"the {options.pruner} pruner compares rows, not a border")


def judge_standing(study: s.Study, trial: s.Trial) -> Standing | None:
    """Return where the trial stands, at its last evaluation that has a border; None without one."""
    border = find_border(study, trial.number)
    values = _list_values(trial, study.objectives[0][0])
    border_values = dict(border.points)
    judged = [step for step in values if step in border_values]
    if not judged or trial.state in s.ENDED:
        return None
    step = judged[-1]
    best = (min if border.direction == "minimize" else max)(
        value for at, value in values.items() if at <= step
    )
    behind = best - border_values[step] if border.direction == "minimize" else border_values[step] - best
    return Standing(behind, step, _find_next(study, trial, border, max(values)))


def _find_next(study: s.Study, trial: s.Trial, border: Border, last: int) -> int | None:
    eval_interval = study.settings.evaluate.every
    if border.stepwise:
        steps = [step for step, _ in border.points if step > last]
        return steps[0] if steps else None
    step = (last // eval_interval + 1) * eval_interval if eval_interval else 0
    return step if step and (not trial.total_steps or step <= trial.total_steps) else None


def _list_values(trial: s.Trial, metric: str) -> dict[int, float]:
    series = trial.series.get(metric)
    if series is None:
        return {}
    pairs = zip(series.steps, series.values, strict=True)
    return {step: value for step, value in pairs if math.isfinite(value)}


def _find_percentiles(
    trials: list[dict[int, float]], share: float, direction: str, first: int, fewest: int
) -> Border:
    """At each step the percentile of the trials that have a value there, if these are at least ``fewest``."""
    points = []
    for step in sorted({step for values in trials for step in values if step >= first}):
        step_values = [values[step] for values in trials if step in values]
        if len(step_values) >= fewest:
            points.append((step, _find_percentile(step_values, share, direction)))
    why = "" if points else f"pruner waits for {fewest} trials"
    return Border(tuple(points), direction, False, why)


def _find_percentile(values: list[float], share: float, direction: str) -> float:
    if share == 50.0 or len(values) == 1:
        return statistics.median(values)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[round(share if direction == "minimize" else 100.0 - share) - 1]


def _find_rungs(trials: list[dict[int, float]], factor: int, direction: str, first: int) -> Border:
    """On each rung the worst value of the best 1/factor that reached it."""
    points = []
    for rung in range(MOST_RUNGS):
        rung_values = [
            value for values in trials if (value := _find_first_at(values, first * factor**rung)) is not None
        ]
        if len(rung_values) < factor:
            break
        rung_values.sort(reverse=direction != "minimize")
        points.append((first * factor**rung, rung_values[len(rung_values) // factor - 1]))
    why = "" if points else f"pruner waits for {factor} trials at step {first}"
    return Border(tuple(points), direction, True, why)


def _find_first_at(values: dict[int, float], step: int) -> float | None:
    """The first value at ``step`` or after it: there a trial reaches its rung."""
    steps = list(values)
    place = bisect_left(steps, step)
    return values[steps[place]] if place < len(steps) else None


def _find_threshold(study: s.Study, trials: list[dict[int, float]], direction: str) -> Border:
    bounds, warmup = study.settings.study.threshold, study.settings.study.pruner_warmup_steps
    bound = bounds.upper if direction == "minimize" else bounds.lower
    if bound is None:
        return Border(why_none="the threshold is on the other side of the values")
    steps = sorted({step for values in trials for step in values if step >= warmup})
    why = "" if steps else "no trial has been evaluated"
    return Border(tuple((step, bound) for step in steps), direction, False, why)
