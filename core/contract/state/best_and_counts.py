"""The best trial of a study, and the numbers of trials by state."""

from __future__ import annotations

from typing import Any

from core.contract.state import engine_state as s


def find_objective_value(study: s.Study, trial: s.Trial, index: int = 0) -> float | None:
    """Return the trial's value of one objective: its result, or the latest reading while it runs."""
    if len(trial.values) > index:
        return trial.values[index]
    metric, _ = study.objectives[index]
    return trial.latest.get(metric)


def list_searched_values(study: s.Study, trial: s.Trial) -> dict[str, Any]:
    """Return the present values of the searched knobs; the sampler proposed none for a clone."""
    space = study.settings.space
    return {name: trial.knobs[name] for name in space if name in trial.knobs} or trial.params


def find_best_step(study: s.Study, trial: s.Trial) -> int | None:
    """Return the step of the trial's best evaluation, by the first objective or else by eval/loss; None
    before the first."""
    metric, direction = study.objectives[0]
    if not metric.startswith("eval/"):
        metric, direction = "eval/loss", "minimize"
    curve = trial.series.get(metric)
    points = zip(curve.values, curve.steps, strict=True) if curve is not None else ()
    sign = 1 if direction == "minimize" else -1
    return min(((sign * value, step) for value, step in points if value == value), default=(0, None))[1]


def find_best_kept_step(study: s.Study, trial: s.Trial) -> int | None:
    """Return the step of the trial's best evaluation if a checkpoint of it was written, which is kept next to
    the newest ones; else None."""
    step = find_best_step(study, trial)
    return step if s.Mark(step or 0, "checkpoint") in trial.stops else None


def is_better(direction: str, value: float, other_value: float) -> bool:
    """Tell whether ``value`` is strictly better than ``other_value``."""
    return value < other_value if direction == "minimize" else value > other_value


def _is_dominating(study: s.Study, trial: s.Trial, other: s.Trial) -> bool:
    """Tell whether ``trial`` is at least as good as ``other`` in all objectives and better in one."""
    pairs = list(zip(study.objectives, trial.values, other.values, strict=True))
    return not any(is_better(direction, b, a) for (_, direction), a, b in pairs) and any(
        is_better(direction, a, b) for (_, direction), a, b in pairs
    )


def find_front(study: s.Study) -> list[s.Trial]:
    """Return the complete trials that no other beats, the best by the first objective first.

    With one objective this is the best trial alone, with several the Pareto front.
    """
    complete = [trial for trial in study.trials.values() if trial.state == s.COMPLETE and trial.values]
    signs = [1 if direction == "minimize" else -1 for _, direction in study.objectives]
    complete.sort(
        key=lambda trial: (
            [sign * value for sign, value in zip(signs, trial.values, strict=False)],
            trial.number,
        )
    )
    if len(study.objectives) == 1:
        return complete[:1]
    ahead: list[s.Trial] = []
    for candidate in complete:  # what beats a trial comes before it, or is beaten by one of the front
        if not any(_is_dominating(study, other, candidate) for other in ahead):
            ahead.append(candidate)
    return ahead


def find_best(study: s.Study) -> s.Trial | None:
    """Return the best trial: the first of the front."""
    ahead = find_front(study)
    return ahead[0] if ahead else None


def count_states(study: s.Study) -> dict[str, int]:
    """Return how many trials are in each state; states without trials are left out."""
    counts: dict[str, int] = {}
    for trial in study.trials.values():
        counts[trial.state] = counts.get(trial.state, 0) + 1
    return counts


def count_ended(study: s.Study) -> int:
    """Return how many trials have ended, in any state."""
    return sum(1 for trial in study.trials.values() if trial.state in s.ENDED)
