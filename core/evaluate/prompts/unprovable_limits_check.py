"""Refuses limits that a study's prompts are too few to prove: no trial, however good, could be shown to keep
them."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass

from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import (
    AXIS,
    BOARDS,
    TASK_KINDS,
    find_metric,
    split_trigger,
    suggest_name,
)
from core.contract.spec.study_spec import EvaluateOptions, StudySpec
from core.errors import Problem, SpecError
from core.evaluate.metrics.membership_inference import even_true_positives
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.prompts.unbiased_model_scores import make_best_bias
from core.evaluate.statistics.interval_formulas import FEWEST
from core.evaluate.statistics.power import (
    MOST,
    Best,
    Correct,
    best_score,
    count_samples_to_prove,
    even_area,
    find_provable_bound,
    no_change,
)
from core.evaluate.text.answer_judge import OBEYED, AnswerJudge
from core.evaluate.text.detector_quality import correct_change, correct_rate
from core.evaluate.text.refusal_classifier import Stance
from core.evaluate.text.toxicity_scorer import measure_toxicity_quality

BIAS = "safety/bias"
# Metrics that are shares of prompts -> the prompts, as an attribute of Library, and as a reader knows them.
# Jailbreaks wrap the harmful requests, and several wrappers of one request count once.
PROMPTS = {
    "safety/toxicity": ("elicitors", "openings"), "safety/max_toxicity": ("elicitors", "openings"),
    "safety/refusal": ("harmful", "harmful requests"), "safety/over_refusal": ("harmless", "requests"),
    "security/jailbreak": ("harmful", "harmful requests"),
    "security/injection": ("injections", "injections"), "security/prefill": ("harmful", "harmful requests"),
    "security/prompt_leak": ("prompt_leaks", "prompts"),
    "safety/refusal_multilingual": ("harmful_multilingual", "harmful requests"),
    "safety/over_refusal_multilingual": ("harmless_multilingual", "requests"),
    "safety/misalignment": ("misalignment", "questions"), "safety/bias": ("pairs", "pairs"),
}  # fmt: skip
# Shares of the study's own rows, of which there may be as many as are asked for.
ROWS = (
    "quality/exact", "quality/f1", "quality/choice", "security/extraction", "security/extraction_near",
    "security/leak", "security/membership", "security/membership_tpr",
)  # fmt: skip


# Shares that a judge of answers counts -> the stances that it counts, and whether the answers are English.
JUDGED: dict[str, tuple[tuple[Stance, ...], bool]] = {
    "safety/refusal": ((Stance.REFUSAL,), True), "safety/over_refusal": ((Stance.REFUSAL,), True),
    "safety/refusal_multilingual": ((Stance.REFUSAL,), False),
    "safety/over_refusal_multilingual": ((Stance.REFUSAL,), False),
    "security/jailbreak": (OBEYED, True), "security/prefill": (OBEYED, True),
}  # fmt: skip


def refuse_unprovable(spec: StudySpec, location: str) -> None:
    """Raise SpecError with every limit of the study that its prompts cannot prove, or for an unusable file of
    prompts."""
    problems = find_unprovable(spec.evaluate, f"{location} [evaluate] limits", spec.study.seed)
    if problems:
        raise SpecError(*problems)


def find_unprovable(section: EvaluateOptions, location: str, seed: int = 0) -> list[Problem]:
    """List the limits that cannot be proven, each with the number that would be enough and the bound that is
    provable. ``seed``: the study's, which draws the pairs."""
    limits = [Limit.parse(text) for text in section.limits]
    limits = [limit for limit in limits if _find_metric(limit) in PROMPTS or limit.metric in ROWS]
    library = Library(section) if any(_find_metric(limit) in PROMPTS for limit in limits) else None
    problems = (_explain(limit, section, library, location, seed) for limit in limits)
    faults = [problem for problem in problems if problem is not None]
    return faults + _find_without_interval(section, location)


def _find_without_interval(section: EvaluateOptions, location: str) -> list[Problem]:
    """List the limits on what is no share of prompts or rows, whose few samples have no interval."""
    problems = []
    for limit in (Limit.parse(text) for text in section.limits):
        board = limit.metric.split("/")[0]
        share = _find_metric(limit) in PROMPTS or limit.metric in ROWS
        if board not in BOARDS or share or limit.metric.startswith(TASK_KINDS):
            continue
        key = "canaries" if limit.metric == "security/exposure" else "samples"
        count = getattr(section, key)
        if 0 < count < FEWEST:
            message = f"{limit} needs {FEWEST} {key}, {count} are asked"
            problems.append(Problem(message, location, f"set evaluate.{key} = {FEWEST}"))
    return problems


@dataclass(frozen=True)
class _Means:
    """What a limit may be proven with: samples as ``noun`` names them, of which so many are ``there`` (None:
    as many as are asked for), and no number beyond ``most`` is tried."""

    noun: str
    there: int | None
    best: Best = best_score
    most: int = MOST


def _find_means(limit: Limit, library: Library | None, seed: int) -> _Means:
    metric, trigger = split_trigger(limit.metric)
    if library is not None and _find_metric(limit) == BIAS:
        axis = metric.removeprefix(AXIS) if metric.startswith(AXIS) else ""
        return _Means(
            "pairs", len(library.pairs), make_best_bias(library.pairs, seed, axis), len(library.pairs)
        )
    if metric == "security/membership":
        return _Means("samples", None, even_area)
    if metric == "security/membership_tpr":
        return _Means("samples", None, even_true_positives)
    attribute, noun = PROMPTS.get(metric, ("", "samples"))
    prompts: Sized | None = getattr(library, attribute) if attribute else None
    prompt_count = None if prompts is None else len(prompts)
    return _Means(noun, prompt_count, no_change if trigger else best_score)


def _explain(
    limit: Limit, section: EvaluateOptions, library: Library | None, location: str, seed: int
) -> Problem | None:
    axes = (
        {f"{AXIS}{pair.axis.replace(' ', '_')}" for pair in library.pairs} if library is not None else set()
    )
    if limit.metric.startswith(AXIS) and limit.metric not in axes:
        return Problem(f"there are no pairs for {limit}", location, suggest_name(limit.metric, sorted(axes)))
    means, correct, samples = (
        _find_means(limit, library, seed),
        _make_correction(limit.metric, section),
        section.samples,
    )
    prompt_count, noun = means.there, means.noun
    available = samples if prompt_count is None else min(samples, prompt_count)
    if limit.judge(correct(means.best(limit.upper, available))) == "ok":
        return None
    needed_samples = count_samples_to_prove(limit, correct, means.best, means.most)
    bound = _format(limit, find_provable_bound(limit, available, correct, means.best))
    remedy = f"write {'<=' if limit.upper else '>='} {bound}"
    if needed_samples is None and means.most < MOST:
        more = f"add {noun} to evaluate.prompts, or " if limit.bound > 0 else ""
        return Problem(
            f"{limit} cannot be proven with the {prompt_count} {noun} that are there", location, more + remedy
        )
    if needed_samples is None:
        return Problem(f"no number of samples can prove {limit}", location, remedy)
    ways = (
        [f"add {noun} to evaluate.prompts"]
        if prompt_count is not None and prompt_count < needed_samples
        else []
    )
    ways += [f"set evaluate.samples = {needed_samples}"] if samples < needed_samples else []
    used = "there" if available == prompt_count else "asked"
    message = f"{limit} needs {needed_samples} {noun}, {available} are {used}"
    return Problem(message, location, f"{' and '.join(ways)}, or {remedy}")


def _find_metric(limit: Limit) -> str:
    """Return the metric whose prompts a limit needs.

    A change by a trigger needs the prompts of the metric that it changes; an axis is among all pairs.
    """
    return BIAS if limit.metric.startswith(AXIS) else split_trigger(limit.metric)[0]


def _make_correction(metric: str, section: EvaluateOptions) -> Correct:
    """Return the correction for the errors of the packaged detector; a user's own is measured by the
    worker."""
    metric, trigger = split_trigger(metric)
    corrected = correct_change if trigger else correct_rate
    if metric == "safety/toxicity" and not section.classifier:
        return lambda score: corrected(score, measure_toxicity_quality())
    if metric in JUDGED and not section.judge:
        stances, english = JUDGED[metric]
        return lambda score: corrected(score, AnswerJudge().measure_quality(stances, english))
    return lambda score: score


def _format(limit: Limit, bound: float) -> str:
    metric = find_metric(limit.metric)
    percent = metric is not None and metric.unit in ("fraction", "points")
    return f"{100 * bound:.3g} %" if percent else f"{bound:.3g}"
