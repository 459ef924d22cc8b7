"""Compare trials: their differing knobs, their scores, and their curves over steps, tokens or time. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.contract.metric_score import Score
from core.contract.spec.knob_table import TABLE
from core.contract.spec.metric_table import SHARES
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import describe_metric, find_margins

Along = Literal["steps", "tokens", "time"]
Scale = Callable[[int], float]  # from a step to a place of the axis
ALONG: tuple[Along, ...] = ("steps", "tokens", "time")
SPEED = "train/tokens_per_s"
# Not results: what the schedule and the machine did.
LEFT_OUT = frozenset({"train/learning_rate", "train/grad_norm", "memory/used_bytes"})


@dataclass(frozen=True)
class Measure:
    """One metric of all compared trials.

    ``best`` are the trials with the best value; ``clear``: their lead is larger than the intervals explain,
    None without intervals.
    """

    name: str
    scores: tuple[Score | None, ...]
    best: tuple[int, ...] = ()
    clear: bool | None = None


def list_differing(trials: Sequence[s.Trial]) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the knobs in which the trials differ, with each trial's value; None where a trial has none."""
    order = [knob.name for knob in TABLE]
    names = {name for trial in trials for name in trial.knobs}
    names |= {name for trial in trials for name in trial.params}
    ranked = sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))
    differences = [
        (name, tuple(trial.params.get(name, trial.knobs.get(name)) for trial in trials)) for name in ranked
    ]
    return [(name, values) for name, values in differences if any(value != values[0] for value in values)]


def list_measures(study: s.Study, trials: Sequence[s.Trial]) -> list[Measure]:
    """Return the objectives first, then all other metrics that any of the trials has."""
    objectives = [metric for metric, _ in study.objectives]
    other_names = {name for trial in trials for name in (*trial.latest, *trial.scores)} - LEFT_OUT
    other_names = {name for name in other_names if not name.startswith(SHARES)}
    names = [*objectives, *sorted(other_names - set(objectives))]
    candidates = [_measure(study, trials, name) for name in names]
    return [measure for measure in candidates if any(score is not None for score in measure.scores)]


def _measure(study: s.Study, trials: Sequence[s.Trial], name: str) -> Measure:
    scores = tuple(_find_score(study, trial, name) for trial in trials)
    valued = [
        (index, score, score.value)
        for index, score in enumerate(scores)
        if score is not None and score.value is not None and math.isfinite(score.value)
    ]
    if len(valued) < 2:
        return Measure(name, scores)
    direction = dict(study.objectives).get(name) or describe_metric(name).direction
    valued.sort(key=lambda entry: entry[2], reverse=direction == "maximize")
    best = [index for index, _, value in valued if value == valued[0][2]]
    if len(best) == len(valued):
        return Measure(name, scores)  # all alike
    following = next(score for index, score, _ in valued if index not in best)
    return Measure(
        name, scores, tuple(trials[index].number for index in best), _clear(valued[0][1], following)
    )


def _find_score(study: s.Study, trial: s.Trial, name: str) -> Score | None:
    """Return a board's score with its interval; the result for an objective; else the latest value."""
    if name in trial.scores:
        return trial.scores[name]
    places = [metric for metric, _ in study.objectives]
    if name in places and len(trial.values) > places.index(name):
        return Score(trial.values[places.index(name)])
    value = trial.latest.get(name)
    return Score(value) if value is not None else None


def _clear(best: Score, following: Score) -> bool | None:
    margin = find_margins(best, following)
    if margin is None or best.value is None or following.value is None:
        return None
    change = best.value - following.value
    return not change - margin[0] <= 0 <= change + margin[1]


def list_metrics(trials: Sequence[s.Trial]) -> list[str]:
    """Return the metrics that have a curve in any of the trials; training and validation loss first."""
    names = {name for trial in trials for name, series in trial.series.items() if series.values}
    first = [name for name in ("eval/loss", "train/loss") if name in names]
    return [*first, *sorted(names - set(first))]


def make_scale(trial: s.Trial, along: Along) -> Scale | None:
    """Return a function from a step to tokens or seconds of training; None where too little is known.

    The state has a trial's total training time and its speed at some steps, but no time of each step. So each
    step is assumed to have the same number of tokens, and to take as long as the speed around it says; the
    total is the measured training time.
    """
    if along == "steps":
        return float
    speeds = trial.series.get(SPEED)
    step_speeds = [] if speeds is None else list(zip(speeds.steps, speeds.values, strict=True))
    step_speeds = [(step, speed) for step, speed in step_speeds if math.isfinite(speed) and speed > 0]
    if not trial.step or not trial.elapsed_s or (along == "tokens" and not step_speeds):
        return None
    slowness = _make_slowness(step_speeds)
    total_slowness = slowness(trial.step)
    if along == "time":
        return lambda step: trial.elapsed_s * slowness(step) / total_slowness
    a_step = trial.elapsed_s / total_slowness  # tokens: seconds / (steps / (tokens/s))
    return lambda step: a_step * step


def _make_slowness(step_speeds: list[tuple[int, float]]) -> Callable[[int], float]:
    """Return a function that sums 1 / speed up to a step; each speed holds from the measurement before it."""
    if not step_speeds:
        return float
    ends, sums, total, before = [0], [0.0], 0.0, 0
    for step, speed in step_speeds:
        total += (step - before) / speed
        ends.append(step)
        sums.append(total)
        before = step
    last_slowness = 1 / step_speeds[-1][1]

    def until(step: int) -> float:
        place = bisect_left(ends, step)
        if place >= len(ends):
            return sums[-1] + (step - ends[-1]) * last_slowness
        if place == 0:
            return 0.0
        share = (step - ends[place - 1]) / (ends[place] - ends[place - 1])
        return sums[place - 1] + share * (sums[place] - sums[place - 1])

    return until


def describe_axis(along: Along) -> str:
    """Return the label of the axis, with how its values are determined."""
    if along == "tokens":
        return "tokens trained, from speed and training time"
    return "training time, from its total and the speed" if along == "time" else "optimizer steps"


def choose_trials(study: s.Study, marked: Sequence[int], selected: int | None) -> list[int]:
    """Return the trials to compare: the marked ones, or with fewer than two of them also the selected, its
    parent and newest clone, and the best."""
    existing = [number for number in sorted(set(marked)) if number in study.trials]
    if len(existing) >= 2:
        return existing
    best = best_and_counts.find_best(study)
    candidates = [
        *existing,
        *([selected] if selected in study.trials else []),
        *_list_family(study, selected),
        *([best.number] if best else []),
    ]
    return list(dict.fromkeys(number for number in candidates if number is not None))


def _list_family(study: s.Study, number: int | None) -> list[int]:
    """Return the trial's parent and its newest clone, where there are any."""
    trial = study.trials.get(number) if number is not None else None
    if trial is None:
        return []
    clones = [relative.number for relative in study.trials.values() if relative.parent == number]
    return [*([trial.parent] if trial.parent in study.trials else []), *clones[-1:]]
