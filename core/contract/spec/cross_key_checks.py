"""Checks of keys that must agree with each other, with the space, the boards and the triggers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import suppress

from core.contract import garak_prompt_finder
from core.contract.spec import population_checks
from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import BOARDS, TASK_KINDS, TRIGGERED, split_trigger
from core.contract.spec.search_space import explain_outside
from core.contract.spec.study_spec import EvaluateOptions, StudyOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import Problem, SpecError


def find_faults(spec: StudySpec, place: str) -> list[Problem]:
    """List every fault of ``study.fixed``, ``threshold``, ``constraints`` and ``population``, located at
    ``place``."""
    problems = [
        *_check_fixed(spec, place),
        *_check_bounds(spec.study, place),
        *_check_constraints(spec.study, place),
    ]
    return [*problems, *_check_rows(spec.study, place), *population_checks.find_faults(spec, place)]


def find_trigger_faults(spec: StudySpec, place: str) -> list[Problem]:
    """List metrics of triggers that do not exist, and triggers that no board uses."""
    triggers, boards = spec.evaluate.triggers, {metric.split("/")[0] for metric in TRIGGERED}
    problems = []
    if triggers and not boards & set(spec.evaluate.boards):
        fix = f"add one of {', '.join(sorted(boards))} to evaluate.boards"
        problems.append(Problem("no board uses evaluate.triggers", place, fix))
    numbers = {str(number) for number in range(1, len(triggers) + 1)}
    for metric in list_needed_metrics(spec):
        number = split_trigger(metric)[1]
        if number and number not in numbers:
            count = f"{len(triggers)} trigger{'s' * (len(triggers) != 1)}"
            message = f"{metric} is not scored: evaluate.triggers has {count}"
            problems.append(Problem(message, place, "a trigger's number is its place in the list, from 1"))
    return problems


def find_unscored(spec: StudySpec, file: str) -> list[Problem]:
    """List objectives, constraints and limits whose board is not switched on."""
    section, problems = spec.evaluate, list[Problem]()
    sources = [(objective.metric, "the objective") for objective in spec.study.objectives]
    for texts, source in ((spec.study.constraints, "the constraint on"), (section.limits, "the limit on")):
        for text in texts:
            try:
                sources.append((Limit.parse(text, f"{file} [evaluate] limits").metric, source))
            except SpecError as error:  # find_faults reports those of constraints
                problems += error.problems if source == "the limit on" else ()
    problems += _check_tasks(section, file) + garak_prompt_finder.find_faults(section.prompt_texts, file)
    for metric, source in sources:
        board = metric.split("/")[0]
        if metric.startswith(TASK_KINDS):
            task = metric.partition(":")[2]
            if task not in section.tasks:
                fix = f"add {task!r} to evaluate.tasks"
                problems.append(Problem(f"{source} {metric} is not scored", f"{file} [evaluate]", fix))
        elif board in BOARDS and board not in section.boards:
            fix = f"add {board!r} to evaluate.boards"
            problems.append(Problem(f"{source} {metric} is not scored", f"{file} [evaluate]", fix))
        elif metric == "security/exposure" and not section.canaries:
            fix = "set evaluate.canaries, such as 6: secrets are planted among the training rows"
            problems.append(Problem(f"{source} {metric} needs canaries", f"{file} [evaluate]", fix))
        elif board not in BOARDS and source == "the limit on":
            fix = f"limits hold for the boards: {', '.join(BOARDS)}"
            problems.append(Problem(f"{source} {metric} is never checked", f"{file} [evaluate]", fix))
    return problems


def _check_tasks(section: EvaluateOptions, file: str) -> list[Problem]:
    """Return a problem if tasks are set and lm-evaluation-harness is not installed."""
    if not section.tasks or importlib.util.find_spec("lm_eval") is not None:
        return []
    tasks = sanitize(repr(list(section.tasks)), 80)
    message = f"evaluate.tasks = {tasks} needs lm-evaluation-harness, which is not installed"
    return [Problem(message, f"{file} [evaluate]", "pip install 'trimtab[lm-eval]', or leave tasks out")]


def list_needed_metrics(spec: StudySpec) -> Iterator[str]:
    """Yield the metrics of objectives, and of all constraints and limits that can be read."""
    yield from (goal.metric for goal in spec.study.objectives)
    for text in (*spec.study.constraints, *spec.evaluate.limits):
        with suppress(SpecError):
            yield Limit.parse(text).metric


def parse_constraints(study: StudyOptions) -> list[Limit]:
    """Return the parsed ``study.constraints``. Raises SpecError for invalid ones."""
    return [Limit.parse(text) for text in study.constraints]


def awaits_boards(spec: StudySpec) -> bool:
    """Tell whether a trial's result is reported to the sampler only after its last board scores."""
    goals, limits = spec.study.objectives, parse_constraints(spec.study)
    metrics = [*(goal.metric for goal in goals), *(limit.metric for limit in limits)]
    prunes = bool(spec.evaluate.limits) and "prune" in (spec.evaluate.on_breach, spec.evaluate.on_unsure)
    return prunes or any(metric.split("/")[0] in BOARDS for metric in metrics)


def _check_fixed(spec: StudySpec, place: str) -> list[Problem]:
    problems = []
    for name, value in spec.study.fixed.items():
        label = sanitize(f"fixed.{name} = {value!r}", 120)
        if name not in spec.space:
            fix = f"write {name} = … in [train], which fixes a knob that is not searched"
            problems.append(Problem(f"{label}: it is not in [space]", place, fix))
        elif wrong := explain_outside(spec.space[name], value):
            problems.append(Problem(f"{label}: {wrong}", place, "take a value that [space] allows"))
    return problems


def _check_bounds(study: StudyOptions, place: str) -> list[Problem]:
    lower, upper = study.threshold.lower, study.threshold.upper
    bounded = lower is not None or upper is not None
    if study.pruner == "threshold" and not bounded:
        fix = "write threshold = { upper = … } for an objective to minimise, lower for one to maximise"
        return [Problem("pruner = 'threshold' has no bound", place, fix)]
    if bounded and study.pruner != "threshold":
        fix = 'set pruner = "threshold", or leave threshold out'
        return [Problem(f"pruner = {study.pruner!r} takes no threshold", place, fix)]
    if lower is not None and upper is not None and lower >= upper:
        return [Problem(f"threshold.lower = {lower:g} is not below upper = {upper:g}", place, "swap them")]
    return []


def _check_rows(study: StudyOptions, place: str) -> list[Problem]:
    """Check that the wilcoxon pruner is used with a loss: it ranks losses of rows, whatever the objective
    is."""
    goal = study.objectives[0].metric
    if study.pruner != "wilcoxon" or goal in ("eval/loss", "eval/perplexity"):
        return []
    fix = 'take eval/loss as the objective, or pruner = "median"'
    return [Problem(f"pruner = 'wilcoxon' compares losses of rows, not {goal}", place, fix)]


def _check_constraints(study: StudyOptions, place: str) -> list[Problem]:
    problems: list[Problem] = []
    limits: list[Limit] = []
    for text in study.constraints:
        try:
            limits.append(Limit.parse(text, f"{place} constraints"))
        except SpecError as error:
            problems += error.problems
    for index, limit in enumerate(limits):
        for other_limit in limits[:index]:
            if limit.metric == other_limit.metric and limit.upper == other_limit.upper:
                problems.append(
                    Problem(f"{other_limit} and {limit} bound the same side", place, "keep the stricter")
                )
            elif limit.metric == other_limit.metric and not _is_possible(limit, other_limit):
                problems.append(
                    Problem(f"no trial can keep both {other_limit} and {limit}", place, "widen one")
                )
    return problems


def _is_possible(limit: Limit, other_limit: Limit) -> bool:
    """Tell whether values exist between two limits of opposite sides."""
    upper, lower = (limit, other_limit) if limit.upper else (other_limit, limit)
    return lower.bound < upper.bound or (upper.keeps(lower.bound) and lower.keeps(upper.bound))
