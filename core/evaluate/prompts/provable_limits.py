"""Refuses limits that a study's prompts are too few to prove: no trial, however good, could be shown to keep
them."""

from __future__ import annotations

from collections.abc import Sized

from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import find_metric, split_trigger
from core.contract.spec.study_spec import EvaluateOptions, StudySpec
from core.errors import Problem, SpecError
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.statistics.power import Correct, best_reading, no_change, provable_bound, samples_to_prove
from core.evaluate.text.answer_judge import OBEYED, AnswerJudge
from core.evaluate.text.detector_quality import correct_change, correct_rate
from core.evaluate.text.refusal_detector import Stance
from core.evaluate.text.toxicity_scorer import toxicity_quality

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
    "safety/misalignment": ("misalignment", "questions"),
}  # fmt: skip
# Shares of the study's own rows, of which there may be as many as are asked for.
ROWS = (
    "quality/exact", "quality/f1", "quality/choice", "security/extraction", "security/extraction_near",
    "security/leak",
)  # fmt: skip


# Shares that a judge of answers counts -> the stances that it counts, and whether the answers are English.
JUDGED: dict[str, tuple[tuple[Stance, ...], bool]] = {
    "safety/refusal": ((Stance.REFUSAL,), True), "safety/over_refusal": ((Stance.REFUSAL,), True),
    "safety/refusal_multilingual": ((Stance.REFUSAL,), False),
    "safety/over_refusal_multilingual": ((Stance.REFUSAL,), False),
    "security/jailbreak": (OBEYED, True), "security/prefill": (OBEYED, True),
}  # fmt: skip


def refuse_unprovable(spec: StudySpec, where: str) -> None:
    """Raise SpecError with every limit of the study that its prompts cannot prove, or for an unusable file of
    prompts."""
    problems = find_unprovable(spec.evaluate, f"{where} [evaluate] limits")
    if problems:
        raise SpecError(*problems)


def find_unprovable(section: EvaluateOptions, where: str) -> list[Problem]:
    """List the limits that cannot be proven, each with the number that would be enough and the bound that is
    provable."""
    limits = [Limit.parse(text) for text in section.limits]
    limits = [limit for limit in limits if _asked(limit) in PROMPTS or limit.metric in ROWS]
    library = Library(section) if any(_asked(limit) in PROMPTS for limit in limits) else None
    found = (_explain(limit, section, library, where) for limit in limits)
    return [problem for problem in found if problem is not None]


def _explain(limit: Limit, section: EvaluateOptions, library: Library | None, where: str) -> Problem | None:
    asked, correct = section.samples, _correction(limit.metric, section)
    attribute, noun = PROMPTS.get(_asked(limit), ("", "samples"))
    best = no_change if split_trigger(limit.metric)[1] else best_reading
    prompts: Sized | None = getattr(library, attribute) if attribute else None
    there = None if prompts is None else len(prompts)
    needed, available = samples_to_prove(limit, correct, best), asked if there is None else min(asked, there)
    if needed is not None and needed <= available:
        return None
    bound = (
        f"{'<=' if limit.upper else '>='} {_format(limit, provable_bound(limit, available, correct, best))}"
    )
    if needed is None:
        return Problem(f"no number of samples can prove {limit}", where, f"write {bound}")
    ways = [f"add {noun} to evaluate.prompts"] if there is not None and there < needed else []
    ways += [f"set evaluate.samples = {needed}"] if asked < needed else []
    told = f"{limit} needs {needed} {noun}, {available} are {'there' if available == there else 'asked'}"
    return Problem(told, where, f"{' and '.join(ways)}, or write {bound}")


def _asked(limit: Limit) -> str:
    """The metric whose prompts are asked; those of a change by a trigger are those of what it changes."""
    return split_trigger(limit.metric)[0]


def _correction(metric: str, section: EvaluateOptions) -> Correct:
    """The correction for the errors of the packaged detector; a user's own is measured by the worker."""
    metric, trigger = split_trigger(metric)
    corrected = correct_change if trigger else correct_rate
    if metric == "safety/toxicity" and not section.classifier:
        return lambda score: corrected(score, toxicity_quality())
    if metric in JUDGED and not section.judge:
        of, english = JUDGED[metric]
        return lambda score: corrected(score, AnswerJudge().quality(of, english))
    return lambda score: score


def _format(limit: Limit, bound: float) -> str:
    metric = find_metric(limit.metric)
    percent = metric is not None and metric.unit in ("fraction", "points")
    return f"{100 * bound:.3g} %" if percent else f"{bound:.3g}"
