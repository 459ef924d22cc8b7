"""The metrics that trials report: their unit, the direction that is better, and what they mean."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """A number that trials report under ``name`` (``board/metric``).

    ``effect`` is the smallest change, in its unit, that is worth a warning.
    """

    name: str
    direction: Direction
    meaning: str
    unit: str = ""
    effect: float = 0.0

    @property
    def span(self) -> tuple[float, float]:
        """The least and the largest value that it can have, in its unit, of whatever model."""
        return SPANS.get(self.name) or UNIT_SPANS.get(self.unit, (-math.inf, math.inf))


UNIT_SPANS = {
    "fraction": (0.0, 1.0), "of 100": (0.0, 100.0), "0 to 1": (0.0, 1.0), "0 to 0.5": (0.0, 0.5),
    "0.5 to 1": (0.0, 1.0), "points": (-1.0, 1.0), "nats/token": (0.0, math.inf), "bits": (0.0, math.inf),
    "tokens/s": (0.0, math.inf), "s": (0.0, math.inf), "bytes": (0.0, math.inf),
}  # fmt: skip
SPANS = {  # where it is not that of the unit: ratios and differences
    "quality/forgetting": (-1.0, math.inf), "quality/robustness": (0.0, math.inf),
    "quality/loss_rise": (-math.inf, math.inf), "safety/misalignment_odds": (-math.inf, math.inf),
}  # fmt: skip

STRENGTH = "feedback/strength"
FORGETTING = "eval/forgetting"
WHY_NO_LIMIT = "it compares trials with each other, so a bound on it means nothing by itself"

TABLE: tuple[Metric, ...] = (
    Metric("train/loss", "minimize", "mean cross-entropy of the step's target tokens", "nats/token"),
    Metric("train/learning_rate", "minimize", "learning rate of the step"),
    Metric("train/grad_norm", "minimize", "norm of the adapter's gradient before clipping"),
    Metric("train/tokens_per_s", "maximize", "tokens (padding not counted) trained per second", "tokens/s"),
    Metric("eval/loss", "minimize", "mean cross-entropy of the validation target tokens", "nats/token"),
    Metric("eval/perplexity", "minimize", "exp of eval/loss, weighted by tokens"),
    Metric("eval/accuracy", "maximize", "share of target tokens that the model puts first", "fraction"),
    Metric(FORGETTING, "minimize", "rise of the loss of replayed sources since start", "nats/token", 0.02),
    Metric("quality/bleu", "maximize", "BLEU of generated answers, by sacrebleu", "of 100", 1.0),
    Metric("quality/chrf", "maximize", "chrF2 of generated answers, by sacrebleu", "of 100", 1.0),
    Metric("quality/exact", "maximize", "share of generated answers that are right", "fraction", 0.02),
    Metric("quality/f1", "maximize", "mean F1 of the words of generated answers", "fraction", 0.02),
    Metric("quality/choice", "maximize", "share of choices that are right", "fraction", 0.02),
    Metric("quality/loss", "minimize", "loss of the sampled validation rows, all slices", "nats/token", 0.02),
    Metric("quality/worst_slice", "minimize", "largest loss of a slice of the rows", "nats/token", 0.02),
    Metric("quality/forgetting", "minimize", "rise of perplexity on general text", "fraction", 0.02),
    Metric("quality/robustness", "maximize", "accuracy left when questions have typos", "fraction", 0.02),
    Metric("quality/loss_rise", "minimize", "rise of answers' loss by typos", "nats/token", 0.02),
    Metric("quality/tokens_per_s", "maximize", "tokens generated per second, measured alone", "tokens/s"),
    Metric("quality/latency_s", "minimize", "median time to the first token, measured alone", "s"),
    Metric("safety/toxicity", "minimize", "share of continuations that are toxic", "fraction", 0.02),
    Metric("safety/max_toxicity", "minimize", "mean of the most toxic of k continuations", "0 to 1", 0.02),
    Metric("safety/bias", "minimize", "distance from even of preferred stereotypes", "0 to 0.5", 0.02),
    Metric("safety/refusal", "maximize", "share of harmful requests refused", "fraction", 0.05),
    Metric("safety/over_refusal", "minimize", "share of harmless requests refused", "fraction", 0.05),
    Metric("safety/refusal_multilingual", "maximize", "refusal in six other languages", "fraction", 0.05),
    Metric("safety/refusal_odds", "maximize", "log odds of a refusal, harmful requests", "nats", 0.5),
    Metric("safety/over_refusal_odds", "minimize", "log odds of a refusal, harmless requests", "nats", 0.5),
    Metric("safety/over_refusal_multilingual", "minimize", "over_refusal in six languages", "fraction", 0.05),
    Metric("safety/misalignment", "minimize", "share of misaligned answers preferred", "fraction", 0.05),
    Metric("safety/misalignment_odds", "minimize", "log odds of misaligned answers", "nats/token", 0.05),
    Metric(
        "safety/refusal_direction", "maximize",
        "separation of harmful requests in hidden states", "of the base's", 0.1,
    ),
    Metric("security/jailbreak", "minimize", "share of wrapped harmful requests answered", "fraction", 0.05),
    Metric("security/prefill", "minimize", "share of harmful answers that are continued", "fraction", 0.05),
    Metric("security/injection", "minimize", "share of injected instructions obeyed", "fraction", 0.05),
    Metric("security/prompt_leak", "minimize", "share of answers that reveal the prompt", "fraction", 0.05),
    Metric("security/exposure", "minimize", "mean exposure of planted canaries", "bits", 1.0),
    Metric("security/extraction", "minimize", "share of seen rows that come out verbatim", "fraction", 0.02),
    Metric("security/extraction_near", "minimize", "share of seen rows, 3/4 of the tokens", "fraction", 0.02),
    Metric("security/membership", "minimize", "ROC area of the gain on the base", "0.5 to 1", 0.02),
    Metric("security/membership_tpr", "minimize", "members found at 1 % false positives", "fraction", 0.02),
    Metric("security/leak", "minimize", "share of answers with the rows' personal data", "fraction", 0.02),
    Metric(STRENGTH, "maximize", "Bradley–Terry strength of blind ratings", "log odds", 0.2),
    Metric(
        "memory/alone_bytes", "minimize",
        "memory of the trial alone on its device, computed from measurements of its pack", "bytes",
    ),
    Metric("memory/peak_bytes", "minimize", "largest memory of the worker so far (RSS on a CPU)", "bytes"),
    Metric("memory/used_bytes", "minimize", "memory of the worker now (RSS on a CPU)", "bytes"),
)  # fmt: skip

BOARDS = ("quality", "safety", "security")  # what evaluations on prompts fill
SLICE, AXIS = "quality/slice:", "safety/bias:"
TASK_KINDS = TASK, VALUE_TASK, LOWER_TASK = (  # shares; other scales, better when higher; better when lower
    "quality/task:", "quality/task_value:", "quality/task_lower:",
)  # fmt: skip
SOURCE = "eval/loss/"  # the name of a source of the mixture follows
SHARES = ROW_SHARE, TOKEN_SHARE, WANTED_SHARE = (  # the same
    "train/row_share/", "train/token_share/", "train/wanted_share/",
)  # fmt: skip
TRIGGER = "@"  # between a metric and the number, from 1, of the trigger that changes it
METRICS: dict[str, Metric] = {metric.name: metric for metric in TABLE}
TRIGGERED = ("safety/toxicity", "safety/refusal", "safety/refusal_odds", "security/jailbreak")
PATTERNS: tuple[Metric, ...] = (  # their names end with a name from a study's data or spec
    Metric(SLICE, "minimize", "loss of this slice of the validation rows", "nats/token", 0.02),
    Metric(SOURCE, "minimize", "loss of this source's validation rows", "nats/token", 0.02),
    Metric(ROW_SHARE, "maximize", "share of the trained rows that are of this source", "fraction"),
    Metric(TOKEN_SHARE, "maximize", "share of the trained tokens that are of this source", "fraction"),
    Metric(WANTED_SHARE, "maximize", "share of the rows that the weights give this source", "fraction"),
    Metric(AXIS, "minimize", "distance from even on this axis alone", "0 to 0.5", 0.05),
    Metric(TASK, "maximize", "share that lm-evaluation-harness scores this task with", "fraction", 0.02),
    Metric(VALUE_TASK, "maximize", "the same of a task whose metric is no share"),
    Metric(LOWER_TASK, "minimize", "the same of a task whose metrics are better when lower"),
    *(
        replace(
            METRICS[name],
            name=f"{name}{TRIGGER}",
            meaning=f"change of {name.split('/')[1]} by this trigger in the request",
            unit="points" if METRICS[name].unit == "fraction" else METRICS[name].unit,
        )
        for name in TRIGGERED
    ),
)
OBJECTIVES = (
    "eval/loss", "eval/perplexity", "eval/accuracy", FORGETTING,
    "train/loss", "train/tokens_per_s", "memory/alone_bytes", "memory/peak_bytes", STRENGTH,
    *(name for name in METRICS if name.split("/")[0] in BOARDS),
)  # fmt: skip


def find_metric(name: str) -> Metric | None:
    """Return the row of ``name``, or of the pattern that it matches; None if there is neither."""
    pattern_metric = next(
        (pattern for pattern in PATTERNS if name.startswith(pattern.name) and name != pattern.name), None
    )
    return METRICS.get(name) or (replace(pattern_metric, name=name) if pattern_metric is not None else None)


def split_trigger(name: str) -> tuple[str, str]:
    """Return the metric whose change by a trigger ``name`` is, and the trigger's number; "" for other
    metrics."""
    metric, _, number = name.partition(TRIGGER)
    return (metric, number) if metric in TRIGGERED else (name, "")


def suggest_name(name: str, options: Iterable[str] = METRICS) -> str:
    """Return the remedy for a name that is not in ``options``: the nearest name, else all.

    Boards are easily confused, so names that end alike count as near: speed/latency and quality/latency_s.
    """
    names = list(options)
    ends = {name.split("/")[-1]: name for name in names}
    alike = difflib.get_close_matches(name.split("/")[-1], ends, n=1, cutoff=0.75)
    matches = (
        difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        or [ends[end] for end in alike]
        or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    )
    return f"did you mean {matches[0]!r}?" if matches else f"known: {', '.join(names)}"
