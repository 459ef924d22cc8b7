"""Converts a report to the Hugging Face Hub's metadata: ids, metrics, a model index."""

from __future__ import annotations

import math
import re
from typing import Any

from core.contract.significance_levels import CONFIDENCE
from core.contract.spec.metric_table import METRICS
from core.contract.state.engine_state import Trial
from core.store.input_fingerprints import Print
from core.store.report.report_data import Report

DEMOS = {"demo:smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
# The Hub's names for trimtab's metrics, where it has one.
TYPES = {
    "eval/loss": "loss", "eval/perplexity": "perplexity", "eval/accuracy": "accuracy", "quality/bleu": "bleu",
    "quality/chrf": "chrf", "quality/exact": "exact_match", "quality/f1": "f1", "safety/toxicity": "toxicity",
}  # fmt: skip
ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
TASK = {"type": "text-generation", "name": "Text Generation"}


def find_hub_id(source: Print) -> str:
    """Return the Hub id of an input; empty for a local file or folder."""
    if source.kind == "demo":
        return DEMOS.get(source.name, "")
    return source.name if source.kind == "hub" and ID.fullmatch(source.name) else ""


def make_index(report: Report) -> list[dict[str, Any]]:
    """Return the ``model-index`` of a card: every score of the chosen trial, with its interval."""
    trial, source = report.chosen, report.prints.get("data.source")
    if trial is None or source is None:
        return []
    numbers = {name: value for name, value in trial.latest.items() if name.startswith("eval/")}
    numbers |= report.values
    numbers |= {name: score.value for name, score in trial.scores.items() if score.value is not None}
    metrics = [_make_metric(trial, name, value) for name, value in numbers.items() if math.isfinite(value)]
    data = {"name": source.name, "type": find_hub_id(source) or "private"}
    data |= {key: value for key in ("split", "revision") if (value := getattr(source, key))}
    return (
        [{"name": report.study.name, "results": [{"task": TASK, "dataset": data, "metrics": metrics}]}]
        if metrics
        else []
    )


def _make_metric(trial: Trial, name: str, value: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": TYPES.get(name, name.replace("/", "_")), "value": value, "name": name}
    score = trial.scores.get(name)
    extra_fields: dict[str, Any] = (
        {"unit": METRICS[name].unit} if name in METRICS and METRICS[name].unit else {}
    )
    if score is not None and score.interval is not None:
        extra_fields |= {"low": score.low, "high": score.high, "confidence": CONFIDENCE}
    if score is not None:
        extra_fields["samples"] = score.samples
    return {**entry, "args": extra_fields} if extra_fields else entry
