"""Writes the model card: YAML front matter for the Hugging Face Hub, and Markdown sections."""

from __future__ import annotations

import math
import time
from typing import Any

import yaml

from core.contract.spec.knob_table import find_knob
from core.contract.spec.metric_table import METRICS
from core.contract.state import best_and_counts
from core.contract.views.metric_format import format_figure
from core.store.input_fingerprints import Print
from core.store.report import card_sections
from core.store.report import markdown_escape as md
from core.store.report.model_index import find_hub_id, make_index
from core.store.report.report_data import Report
from core.store.report.trial_table_export import list_searched_knobs

RESULTS = ("eval/loss", "eval/perplexity", "eval/accuracy", "train/loss")


def write_card(report: Report) -> str:
    """Return the text of a bundle's README.md."""
    parts = [
        _write_title(report),
        _write_base_and_data(report),
        _use(report),
        _write_knobs(report),
        _write_results(report),
    ]
    parts += [
        card_sections.write_boards(report),
        card_sections.write_report_card(report),
        card_sections.write_search(report),
    ]
    parts += [card_sections.write_limits(report), card_sections.write_rerun(report)]
    return (
        f"---\n{write_front_matter(report)}---\n\n"
        + "\n".join(line for part in parts for line in part)
        + "\n"
    )


def write_front_matter(report: Report) -> str:
    """Return the YAML for the Hub. Local folders are not on the Hub, so only the text names them."""
    base = report.prints.get("model.base")
    sources = [source for key, source in report.prints.items() if key.endswith(".source")]
    content: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation"}
    if base is not None and (repository := find_hub_id(base)):
        content |= {"base_model": repository, "base_model_relation": "adapter"}
    if repositories := list(dict.fromkeys(filter(None, map(find_hub_id, sources)))):
        content["datasets"] = repositories
    content["tags"] = ["lora", "peft", "trimtab"]
    results = make_index(report) if report.chosen is not None else []
    if results:
        content["metrics"] = sorted({metric["type"] for metric in results[0]["results"][0]["metrics"]})
        content["model-index"] = results
    result: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return result


# -- the text --------------------------------------------------------------------------------------


def _write_title(report: Report) -> list[str]:
    study, chosen = report.study, report.chosen
    date = time.strftime("%Y-%m-%d", time.gmtime(report.made_at))
    if chosen is None:
        message = f"{md.escape(report.why_none)}, so there is no adapter, only the results so far."
    else:
        best = (
            "the best"
            if (best_trial := best_and_counts.find_best(study)) and best_trial.number == chosen.number
            else "a chosen one"
        )
        message = (
            f"A LoRA adapter for {_find_base_name(report)}: trial {chosen.number} ({chosen.state}), "
            f"{best} of {len(study.trials)} trials of the study `{study.name}`."
        )
    return [f"# {study.name}", "", message, f"Written by trimtab on {date}.", ""]


def _find_base_name(report: Report) -> str:
    base = report.prints.get("model.base")
    return md.escape_code(find_hub_id(base) or base.name) if base is not None else "its base model"


def _write_base_and_data(report: Report) -> list[str]:
    labels = {
        "model.base": "base model",
        "data.source": "training data",
        "data.validation": "validation data",
    }
    cells = [
        (labels.get(key, key), md.escape_code(source.name), _describe_source(source))
        for key, source in report.prints.items()
    ]
    data = report.spec.data
    sentences = [
        f"Base in {md.escape(report.spec.model.precision)}",
        f"rows as {md.escape(data.format)}, split {md.escape(data.split)}",
    ]
    if isinstance(data.validation, float):
        sentences.append(f"{100 * data.validation:g} % of the rows held out for validation")
    table = md.write_table(("", "name", "fingerprint"), cells)
    return ["## Base model and data", "", *table, f"{'; '.join(sentences)}.", ""]


def _describe_source(source: Print) -> str:
    parts = [f"{source.rows:,} rows"] if source.rows is not None else []
    parts += [f"sha256 {source.sha256}"] if source.sha256 else []
    parts += [f"revision {source.revision}"] if source.revision else []
    return md.escape("; ".join([*parts, *([source.note] if source.note else [])]))


def _use(report: Report) -> list[str]:
    if report.chosen is None or not report.chosen.adapter:
        return []
    base_print = report.prints.get("model.base")
    base = (
        (find_hub_id(base_print) or "PATH OF THE BASE MODEL")
        if base_print is not None
        else "PATH OF THE BASE MODEL"
    )
    return [
        "## Use", "", "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer", "",
        f"base = AutoModelForCausalLM.from_pretrained({base!r})",
        'model = PeftModel.from_pretrained(base, "adapter")',
        'tokenizer = AutoTokenizer.from_pretrained("adapter")', "```", "",
    ]  # fmt: skip


def _write_knobs(report: Report) -> list[str]:
    if report.chosen is None:
        return []
    names = list_searched_knobs(report.study)
    cells = [
        (md.escape_code(name), md.escape_code(value), "searched" if name in names else "",
         md.escape(knob.meaning if (knob := find_knob(name)) else ""))
        for name, value in report.chosen.knobs.items()
    ]  # fmt: skip
    trained = f"{report.chosen.trainable:,} parameters were trained, in {report.chosen.step:,} steps."
    return ["## Hyper-parameters", "", *md.write_table(("knob", "value", "", "meaning"), cells), trained, ""]


def _write_results(report: Report) -> list[str]:
    if report.chosen is None:
        return []
    values = {**report.chosen.latest, **report.values}
    cells = [
        (
            _write_metric(report, name),
            format_figure(value, _find_unit(name)),
            md.escape(METRICS[name].meaning),
        )
        for name, value in values.items()
        if name in METRICS and (name in report.values or name in RESULTS) and math.isfinite(value)
    ]
    return ["## Results", "", *md.write_table(("metric", "value", "meaning"), cells)]


def _write_metric(report: Report, name: str) -> str:
    return md.escape_code(name) + (" (objective)" if name in report.values else "")


def _find_unit(name: str) -> str:
    return METRICS[name].unit if name in METRICS else ""
