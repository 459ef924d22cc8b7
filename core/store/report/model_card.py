"""Writes the model card: YAML front matter for the Hugging Face Hub, and Markdown sections."""

from __future__ import annotations

import math
import time
from typing import Any

import yaml

from core.contract.spec.knob_table import KNOBS
from core.contract.spec.metric_table import METRICS
from core.contract.state import best_and_counts
from core.contract.views.metric_format import format_figure
from core.store.file_fingerprints import Print
from core.store.report import card_sections
from core.store.report import markdown_escape as md
from core.store.report.model_index import hub_id, index
from core.store.report.report_data import Report
from core.store.report.trial_table_export import searched_knobs

RESULTS = ("eval/loss", "eval/perplexity", "eval/accuracy", "train/loss")


def card(report: Report) -> str:
    """The text of a bundle's README.md."""
    parts = [_title(report), _base_and_data(report), _use(report), _knobs(report), _results(report)]
    parts += [card_sections.boards(report), card_sections.report_card(report), card_sections.search(report)]
    parts += [card_sections.limits(report), card_sections.rerun(report)]
    return f"---\n{front_matter(report)}---\n\n" + "\n".join(line for part in parts for line in part) + "\n"


def front_matter(report: Report) -> str:
    """The YAML for the Hub. Local folders are not on the Hub, so only the text names them."""
    base, source = report.prints.get("model.base"), report.prints.get("data.source")
    found: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation"}
    if base is not None and (known := hub_id(base)):
        found |= {"base_model": known, "base_model_relation": "adapter"}
    if source is not None and (known := hub_id(source)):
        found["datasets"] = [known]
    found["tags"] = ["lora", "peft", "trimtab"]
    results = index(report) if report.chosen is not None else []
    if results:
        found["metrics"] = sorted({metric["type"] for metric in results[0]["results"][0]["metrics"]})
        found["model-index"] = results
    result: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    return result


# -- the text --------------------------------------------------------------------------------------


def _title(report: Report) -> list[str]:
    study, chosen = report.study, report.chosen
    made = time.strftime("%Y-%m-%d", time.gmtime(report.made_at))
    if chosen is None:
        message = f"{md.text(report.why_none)}, so there is no adapter, only the results so far."
    else:
        best = (
            "the best"
            if (best_trial := best_and_counts.best(study)) and best_trial.number == chosen.number
            else "a chosen one"
        )
        message = (
            f"A LoRA adapter for {_base_name(report)}: trial {chosen.number} ({chosen.state}), "
            f"{best} of {len(study.trials)} trials of the study `{study.name}`."
        )
    return [f"# {study.name}", "", message, f"Written by trimtab on {made}.", ""]


def _base_name(report: Report) -> str:
    known = report.prints.get("model.base")
    return md.code(hub_id(known) or known.name) if known is not None else "its base model"


def _base_and_data(report: Report) -> list[str]:
    named = {"model.base": "base model", "data.source": "training data", "data.validation": "validation data"}
    cells = [
        (named.get(key, key), md.code(source.name), _describe_source(source))
        for key, source in report.prints.items()
    ]
    model, data = report.raw.get("model", {}), report.raw.get("data", {})
    more = [f"Base in {md.text(model.get('precision', 'auto'))}"]
    more.append(f"rows as {md.text(data.get('format', 'auto'))}, split {md.text(data.get('split', 'train'))}")
    held = data.get("validation")
    more += [f"{100 * held:g} % of the rows held out for validation"] if isinstance(held, float) else []
    known = md.table(("", "name", "fingerprint"), cells)
    return ["## Base model and data", "", *known, f"{'; '.join(more)}.", ""]


def _describe_source(source: Print) -> str:
    found = [f"{source.rows:,} rows"] if source.rows is not None else []
    found += [f"sha256 {source.sha256}"] if source.sha256 else []
    found += [f"revision {source.revision}"] if source.revision else []
    return md.text("; ".join([*found, *([source.note] if source.note else [])]))


def _use(report: Report) -> list[str]:
    if report.chosen is None or not report.chosen.adapter:
        return []
    known = report.prints.get("model.base")
    base = (hub_id(known) or "PATH OF THE BASE MODEL") if known is not None else "PATH OF THE BASE MODEL"
    return [
        "## Use", "", "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer", "",
        f"base = AutoModelForCausalLM.from_pretrained({base!r})",
        'model = PeftModel.from_pretrained(base, "adapter")',
        'tokenizer = AutoTokenizer.from_pretrained("adapter")', "```", "",
    ]  # fmt: skip


def _knobs(report: Report) -> list[str]:
    if report.chosen is None:
        return []
    names = searched_knobs(report.study)
    cells = [
        (md.code(name), md.code(value), "searched" if name in names else "",
         md.text(KNOBS[name].meaning if name in KNOBS else ""))
        for name, value in report.chosen.knobs.items()
    ]  # fmt: skip
    trained = f"{report.chosen.trainable:,} parameters were trained, in {report.chosen.step:,} steps."
    return ["## Hyper-parameters", "", *md.table(("knob", "value", "", "meaning"), cells), trained, ""]


def _results(report: Report) -> list[str]:
    if report.chosen is None:
        return []
    shown = {**report.chosen.latest, **report.values}
    cells = [
        (_metric(report, name), format_figure(value, _unit(name)), md.text(METRICS[name].meaning))
        for name, value in shown.items()
        if name in METRICS and (name in report.values or name in RESULTS) and math.isfinite(value)
    ]
    return ["## Results", "", *md.table(("metric", "value", "meaning"), cells)]


def _metric(report: Report, name: str) -> str:
    return md.code(name) + (" (objective)" if name in report.values else "")


def _unit(name: str) -> str:
    return METRICS[name].unit if name in METRICS else ""
