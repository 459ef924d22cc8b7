"""Decides which trials of a population are replaced by clones of better ones. Pure.

Population-based training after Jaderberg et al. 2017, arXiv:1711.09846 (truncation selection), without a
barrier: no trial pauses for others. Trials are compared every ``Plan.every`` steps, at the same step, when
all have reached it, or when one has reached the next such step.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.contract.events.knob_change_text import format_changes
from core.contract.spec import population_checks
from core.contract.spec.search_space import Space
from core.contract.spec.study_spec import PopulationOptions, StopOptions
from core.contract.state import engine_state as s
from core.daemon.population.explore import perturb

Judged = frozenset[tuple[int, int]]  # (trial, step)


@dataclass(frozen=True)
class Plan:
    """The settings of a study's population; a clone may differ from its parent in the ``free`` knobs."""

    size: int
    every: int  # steps
    asked: PopulationOptions
    space: Space
    free: tuple[str, ...]
    metric: str
    direction: str
    seed: int
    stop_after: StopOptions


@dataclass(frozen=True)
class Exploit:
    """A decision to replace ``loser`` by a clone of ``winner``; ``changes`` are (before, after) by knob."""

    loser: int
    winner: int
    changes: dict[str, tuple[Any, Any]]
    why: str
    instead: str

    def words(self, clone: int) -> str:
        """Return the reason for the prune."""
        changes = f" with {format_changes(self.changes)}" if self.changes else ""
        return f"population: {self.why}; replaced by trial {clone}, a clone of {self.instead}{changes}"


def make_plan(study: s.Study) -> Plan | None:
    """Return the plan in the present study file; None for a study without a population."""
    size = study.settings.population_size
    if size is None:
        return None
    spec = study.settings
    options, (goal, *_) = spec.study.population or PopulationOptions(), spec.study.objectives
    every, free = (
        population_checks.count_steps_between(spec, options),
        tuple(population_checks.list_perturbed(spec)),
    )
    return Plan(
        size, every, options, spec.space, free, goal.metric, goal.direction, spec.study.seed,
        spec.study.stop_after,
    )  # fmt: skip


def list_members(study: s.Study) -> list[s.Trial]:
    """Return all past and present members: the sampler's trials and PBT clones, without those that a user
    enqueued, edited or restored after a prune."""
    return [
        trial
        for trial in study.trials.values()
        if trial.by in ("", population_checks.BY) and not _is_steered(trial)
    ]


def _is_steered(trial: s.Trial) -> bool:
    return bool(trial.editing) or len(trial.marks) > (
        trial.parent >= 0
    )  # a clone's first mark is its creation


def find_start_step(trial: s.Trial) -> int:
    """Return the step at which the trial started; earlier points of its curve are its parent's."""
    return trial.marks[0].step if trial.parent >= 0 and trial.marks else 0


def find_own_value(trial: s.Trial, metric: str, step: int) -> float | None:
    """Return the trial's own value at ``step``, or the newest earlier one if a long curve was thinned; None
    if the trial has not reached the step."""
    curve = trial.series.get(metric)
    if curve is None or not curve.steps or curve.steps[-1] < step:
        return None
    at = bisect_right(curve.steps, step) - 1
    return curve.values[at] if at >= 0 and curve.steps[at] > find_start_step(trial) else None


def decide(study: s.Study, plan: Plan, compared: Judged, leaving: Collection[int] = ()) -> list[Exploit]:
    """Return the trials to replace now, each with its clone. ``compared`` (trial, step) pairs were compared
    already; ``leaving`` trials are being replaced."""
    exploits: list[Exploit] = []
    for step, trials in list_due_comparisons(study, plan):
        losers = [trial for trial in _list_worst(trials, plan, step) if (trial.number, step) not in compared]
        for loser in losers:
            leaving_now = {*leaving, *(exploit.loser for exploit in exploits)}
            if _may_leave(study, loser, step) and loser.number not in leaving_now:
                exploits += _exploit(loser, trials, plan, step, leaving_now)
    return exploits


def list_due_comparisons(study: s.Study, plan: Plan) -> list[tuple[int, list[s.Trial]]]:
    """Return the steps at which a comparison is due, the latest first, each with the members that have
    reached it."""
    all_of_it = list_members(study)
    replaced = {trial.place_of for trial in all_of_it}
    living = [trial for trial in all_of_it if _is_active(trial) and trial.number not in replaced]
    now = {_find_last_step(trial, plan.metric) // plan.every * plan.every for trial in living}
    steps = sorted(
        {step for latest in now for step in (latest, latest - plan.every) if step > 0}, reverse=True
    )
    members_by_step = {step: _list_members_at(all_of_it, plan.metric, step) for step in steps}
    return [
        (step, members_by_step[step])
        for step in steps
        if _is_ready(study, plan, step, members_by_step[step], living)
    ]


def _list_members_at(members: Sequence[s.Trial], metric: str, step: int) -> list[s.Trial]:
    """Return the members that have reached ``step``; a clone that started before it replaces the trial it was
    made for."""
    replaced = {trial.place_of for trial in members if find_start_step(trial) < step}
    return [
        trial
        for trial in members
        if find_own_value(trial, metric, step) is not None and trial.number not in replaced
    ]


def _is_ready(
    study: s.Study, plan: Plan, step: int, trials: Sequence[s.Trial], living: Iterable[s.Trial]
) -> bool:
    if 2 * len(trials) < plan.size or not _count_replaced(trials, plan):
        return False
    numbers = {trial.number for trial in trials}
    behind = any(trial.number not in numbers and find_start_step(trial) < step for trial in living)
    to_come = sum(1 for trial in study.trials.values() if not trial.by) < plan.size
    if not (behind or to_come):
        return True
    return any(_find_last_step(trial, plan.metric) >= step + plan.every for trial in trials)


def _find_last_step(trial: s.Trial, metric: str) -> int:
    """Return last step of the trial's own curve, without its parent's part."""
    curve = trial.series.get(metric)
    last = curve.steps[-1] if curve is not None and curve.steps else 0
    return last if last > find_start_step(trial) else 0


def _is_active(trial: s.Trial) -> bool:
    return trial.state not in s.ENDED and trial.asked != "prune"


def _rank_members(trials: Iterable[s.Trial], plan: Plan, step: int) -> list[tuple[float, s.Trial]]:
    """Return (cost, trial), the best first; lower cost is better."""
    sign = 1.0 if plan.direction == "minimize" else -1.0
    costs = [(sign * (find_own_value(trial, plan.metric, step) or 0.0), trial) for trial in trials]
    finite_costs = [(cost if math.isfinite(cost) else math.inf, trial) for cost, trial in costs]
    return sorted(finite_costs, key=lambda pair: (pair[0], pair[1].number))


def _count_replaced(trials: Sequence[s.Trial], plan: Plan) -> int:
    """Return the number of trials in the worst, and best, quantile, rounded to the nearest: 1 of 3 at 25
    %."""
    return math.ceil(plan.asked.quantile * len(trials) - 0.5 - 1e-9)


def _list_worst(trials: Sequence[s.Trial], plan: Plan, step: int) -> list[s.Trial]:
    """Return the worst trials, the worst first."""
    return [trial for _, trial in _rank_members(trials, plan, step)][::-1][: _count_replaced(trials, plan)]


def _may_leave(study: s.Study, trial: s.Trial, step: int) -> bool:
    """Tell whether the trial may be replaced; not if a user paused it or it is about to end anyway."""
    replaced = any(clone.place_of == trial.number for clone in study.trials.values())
    on = trial.state == s.RUNNING and not trial.asked
    return on and max(step, trial.step) < trial.total_steps and not replaced


def _exploit(
    loser: s.Trial, trials: Sequence[s.Trial], plan: Plan, step: int, leaving: Collection[int]
) -> list[Exploit]:
    """Return the decision to replace ``loser`` by a clone of a winner that still trains; empty if there is
    none."""
    ranked = _rank_members(trials, plan, step)
    cost = {trial.number: value for value, trial in ranked}
    best = [
        trial
        for value, trial in ranked[: _count_replaced(trials, plan)]
        if trial.state in (s.RUNNING, s.PAUSED) and trial.asked != "prune" and trial.step < trial.total_steps
        and trial.number not in leaving and value < cost[loser.number]
    ]  # fmt: skip
    if not best:
        return []
    draw = random.Random(f"{plan.seed}/{loser.number}/{step}")  # reproducible after a restart
    winner = draw.choice(best)
    changes = perturb(plan.space, winner.knobs, plan.asked, plan.free, draw)
    values = [find_own_value(trial, plan.metric, step) for trial in (loser, winner)]
    worst = f"among the worst {_count_replaced(trials, plan)} of {len(trials)} at step {step}"
    why = f"{plan.metric} {values[0]:.4g} is {worst}"
    return [Exploit(loser.number, winner.number, changes, why, f"trial {winner.number} ({values[1]:.4g})")]
