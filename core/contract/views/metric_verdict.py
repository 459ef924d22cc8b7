"""The meaning of a metric's value: compared with the base model's, with its limits, and with noise. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL
from core.contract.spec.metric_limits import Limit, Verdict
from core.contract.spec.metric_table import BOARDS, METRICS, STRENGTH, Metric, find_metric, split_trigger
from core.contract.state.engine_state import FAILED, INFEASIBLE, PRUNED, Study, Trial
from core.errors import SpecError

NEVER_SCORED = frozenset({PRUNED, FAILED, INFEASIBLE})  # unless they have scores already
BASE = -1  # the "trial" that is the base model itself
WORST: tuple[Verdict, ...] = ("breached", "unsure", "ok")


@dataclass(frozen=True)
class Reading:
    """One metric of one trial.

    ``change`` is the value less the base's; ``better`` is None without a better direction. ``paired`` is the
    change on the samples that both were scored on, None where these are not compared one by one. ``clear``:
    the change is larger than the interval of ``paired`` explains, or else the two intervals. ``verdict``
    None: no limit.
    """

    metric: Metric
    score: Score | None
    base: Score | None
    limits: tuple[Limit, ...] = ()
    change: float | None = None
    better: bool | None = None
    clear: bool = False
    verdict: Verdict | None = None
    paired: Score | None = None

    def is_apart(self, tail: float) -> bool:
        """Tell whether trial and base differ, by an interval that leaves ``tail`` beyond each end."""
        if self.score is None or self.base is None or not self.change:
            return False
        paired = self.paired.widen(tail) if self.paired is not None else None
        if paired is not None and paired.value is not None and paired.interval is not None:
            low, high = paired.interval
            return not low <= 0 <= high and (paired.value > 0) == (self.change > 0)
        margin = find_margins(self.score.widen(tail), self.base.widen(tail))
        return margin is not None and not self.change - margin[0] <= 0 <= self.change + margin[1]


def read(
    study: Study, trial: Trial | None, name: str, limits_by_metric: dict[str, tuple[Limit, ...]]
) -> Reading:
    """Return the metric ``name`` of ``trial``, or of the base for None; ``limits_by_metric`` comes from
    ``limits``."""
    scores = study.base_scores if trial is None else trial.scores
    score, base, metric = scores.get(name), study.base_scores.get(name), describe_metric(name)
    verdict = judge_limits(scores, name, limits_by_metric, trial)
    change, better, paired = None, None, None
    if trial is not None and score is not None and base is not None:
        change, paired = _change(score, base), trial.changes.get(name)
        if change:
            better = (change < 0) == (metric.direction == "minimize")
    bounds = limits_by_metric.get(name, ())
    reading = Reading(metric, score, base, bounds, change, better, verdict=verdict, paired=paired)
    return replace(reading, clear=reading.is_apart(TAIL))


def _change(score: Score, base: Score) -> float | None:
    if score.value is None or base.value is None:
        return None
    change = score.value - base.value
    if math.isclose(score.value, base.value, rel_tol=1e-12, abs_tol=1e-12):
        return 0.0  # rounding makes no trial better
    return change if math.isfinite(change) else None


def find_step(trial: Trial, name: str) -> int:
    """Return the step of the trial's latest value; metrics of generated texts are scored less often than
    others."""
    series, score = trial.series.get(name), trial.scores.get(name)
    has_value = score is not None and score.value is not None
    return series.steps[-1] if has_value and series is not None and series.steps else trial.scored_step


def find_margins(now: Score, before: Score) -> tuple[float, float] | None:
    """Return how much ``now`` − ``before`` may differ from its estimate, below and above, for independent
    samples.

    The method of variance estimates recovery (Zou and Donner 2008). None without both values and intervals.
    """
    ends, old = now.interval, before.interval
    if now.value is None or before.value is None or ends is None or old is None:
        return None
    lower_margin = math.hypot(now.value - ends[0], old[1] - before.value)
    return lower_margin, math.hypot(ends[1] - now.value, before.value - old[0])


def judge_limits(
    scores: Mapping[str, Score],
    name: str,
    limits_by_metric: Mapping[str, tuple[Limit, ...]],
    trial: Trial | None = None,
) -> Verdict | None:
    """Return the worst verdict of all limits on the metric ``name``; None without any, or without a score."""
    if name not in scores:
        return None
    look, shared = count_looks(trial, name), sum(len(limits) for limits in limits_by_metric.values())
    verdicts = {limit.judge(scores[name], look, shared) for limit in limits_by_metric.get(name, ())}
    return next((verdict for verdict in WORST if verdict in verdicts), None)


def count_looks(trial: Trial | None, name: str) -> int:
    """Return the number of the trial's scorings so far with a value of the metric, at least 1."""
    series = trial.series.get(name) if trial is not None else None
    return max(1, series.seen) if series is not None else 1


def list_limits(study: Study) -> dict[str, tuple[Limit, ...]]:
    """Return the study's limits by metric, without those that this version cannot parse."""
    limits_by_metric: dict[str, tuple[Limit, ...]] = {}
    for text in study.settings.evaluate.limits:
        try:
            limit = Limit.parse(text)
        except SpecError:
            continue
        limits_by_metric[limit.metric] = (*limits_by_metric.get(limit.metric, ()), limit)
    return limits_by_metric


def list_boards(study: Study) -> tuple[str, ...]:
    """Return the boards that are enabled, and others that have scores nevertheless."""
    enabled = study.settings.evaluate.boards
    with_scores = {find_board(name) for name in _list_scored_metrics(study)}
    return tuple(name for name in BOARDS if name in enabled or name in with_scores)


def find_board(name: str) -> str:
    """Return the board of a metric; metrics without a board belong to quality."""
    first = name.split("/")[0]
    return first if first in BOARDS else BOARDS[0]


def list_names(study: Study, of: str) -> tuple[str, ...]:
    """Return the metrics of the board ``of`` that the base or any trial has, in the table's order.

    Changes by triggers follow the metric that they belong to.
    """
    names = [name for name in _list_scored_metrics(study) if find_board(name) == of]
    order = {name: place for place, name in enumerate(METRICS)}
    return tuple(sorted(names, key=lambda name: (order.get(split_trigger(name)[0], len(order)), name)))


def _list_scored_metrics(study: Study) -> set[str]:
    """What people rate is on no board."""
    return set(study.base_scores).union(*(trial.scores for trial in study.trials.values())) - {STRENGTH}


def describe_metric(name: str) -> Metric:
    """Return the metric's row of the table; a metric that is not in the table is described by its name."""
    return find_metric(name) or Metric(name, "minimize", "not in this version's table")


def find_first_step(study: Study) -> int:
    """Return the step of the first evaluation."""
    return study.settings.evaluate.every


def explain_absent(study: Study, trials: Iterable[Trial] | None = None) -> tuple[str, str]:
    """Return why none of the ``trials`` (all, if there are none given) has a score, and what to do or when it
    comes."""
    if not list_boards(study):
        return "no board is switched on", 'set evaluate.boards = ["quality", "safety", "security"]'
    step = find_first_step(study)
    waiting = sum(
        1
        for trial in (study.trials.values() if trials is None else trials)
        if trial.step >= step and trial.state not in NEVER_SCORED and not trial.scores
    )
    if not waiting:
        return "no trial is scored yet", f"scored at the first evaluation (step {step})"
    base = next((work for work in study.preparing.values() if "scoring" in work.stage), None)
    answers = f"; the base model answers first, {base.done} of {base.total}" if base is not None else ""
    waiting_trials = "1 evaluated trial waits" if waiting == 1 else f"{waiting} evaluated trials wait"
    return (
        "no trial is scored yet",
        f"{waiting_trials} for scores, which are computed while others train{answers}",
    )


def explain_unscored(study: Study) -> str:
    """Return why a trial may not have a metric yet."""
    generate_every = study.settings.evaluate.generate_every
    texts = (
        f"; metrics of generated texts at every {generate_every}th and the last" if generate_every > 1 else ""
    )
    return f"not scored yet: first at step {find_first_step(study)}{texts}"


def describe_breach_action(study: Study) -> str:
    """Return what happens when a limit is broken: warn, pause or prune."""
    return study.settings.evaluate.on_breach
