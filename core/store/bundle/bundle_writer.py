"""Writes the contents of a bundle.

study.toml        the study as resolved, without secrets       versions.json   Python, packages, machine
trials.json/.csv/.parquet  all trials                          data.json       fingerprints of data and base
curves/           each metric, as SVG and PNG                  decisions.jsonl/.md   what, when, by whom, why
adapter/          of the chosen trial, as PEFT writes it       README.md       the model card
report.html       all of it on one page                        manifest.json   SHA-256 of every file
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from core.contract.state import reference_values, study_progress
from core.contract.text.secret_redaction import Redactor
from core.store.bundle import adapter_hashes
from core.store.bundle.rerun_comparison import ADAPTER
from core.store.plots.png_plot import write_png
from core.store.plots.svg_plot import make_svg
from core.store.report import markdown_escape as md
from core.store.report import trial_table_export
from core.store.report.html_report import write_page
from core.store.report.model_card import write_card
from core.store.report.report_data import Report


def fill(report: Report, folder: Path, evidence: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Write all files into ``folder``. Returns the manifest's entries, and notes on what was left out.

    Raises OSError. ``evidence`` includes the prompts and completions of the boards, which may be harmful
    text.
    """
    notes: list[str] = list(report.pending)
    _put(folder / "study.toml", tomli_w.dumps(report.raw))
    _write_json(folder / "versions.json", report.versions)
    _write_json(folder / "data.json", msgspec.to_builtins(report.prints))
    sums = _write_adapter(report, folder, notes)
    _write_json(
        folder / "trials.json", [_write_trial(report, number, sums) for number in sorted(report.study.trials)]
    )
    _put(folder / "trials.csv", trial_table_export.encode_csv(report.rows))
    why = trial_table_export.write_parquet(report.rows, folder / "trials.parquet")
    notes += [why] if why else []
    _write_curves(report, folder / "curves", notes)
    _write_decisions(report, folder)
    _put(folder / "README.md", write_card(report))
    if sums:
        _put(folder / ADAPTER / "README.md", write_card(report))
    _put(folder / "report.html", write_page(report))
    if evidence:
        _write_evidence(report, folder / "evidence", notes)
    number = report.chosen.number if report.chosen is not None else None
    content = {"study": report.study.name, "trial": number, "made_at": report.made_at}
    return {**content, "trimtab": report.versions.get("packages", {}).get("trimtab")}, notes


def _put(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _write_json(path: Path, content: object) -> None:
    """Write JSON; numbers that JSON does not have, such as nan, become null."""
    _put(path, json.dumps(msgspec.json.decode(msgspec.json.encode(content)), indent=1) + "\n")


def _write_trial(report: Report, number: int, sums: dict[str, str]) -> dict[str, Any]:
    """Return the data of a trial that a rerun needs: exact numbers, and how it ran."""
    trial, ran = report.study.trials[number], report.ran.get(number)
    metrics = [metric for metric, _ in report.study.objectives]
    is_chosen = report.chosen is not None and report.chosen.number == number
    return Redactor().redact_all(
        {
            "trial": number, "state": trial.state, "params": trial.params, "knobs": trial.knobs,
            "step": trial.step, "values": dict(zip(metrics, trial.values, strict=False)),
            "latest": trial.latest, "why": trial.why,
            "scores": msgspec.to_builtins(trial.scores),
            "scoring": study_progress.make_scoring_record(trial) if trial.pending else None,
            "ran": None if ran is None else {**msgspec.to_builtins(ran), "alone": ran.alone},
            "adapter_sha256": sums if is_chosen else {},
        }
    )  # fmt: skip


def _write_adapter(report: Report, folder: Path, notes: list[str]) -> dict[str, str]:
    """Copy the adapter's files, by hard links if possible; returns the hashes of its tensors."""
    trial = report.chosen
    source = Path(report.study.folder) / trial.adapter if trial is not None and trial.adapter else None
    if source is None or not source.is_dir() or source.is_symlink():
        why = (
            reference_values.explain_no_best(report.study)
            if trial is None
            else f"trial {trial.number} ({trial.state}) has no saved adapter"
        )
        notes.append(f"no adapter: {why}")
        return {}
    (folder / ADAPTER).mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.is_symlink() and file.name != "README.md":
            _link_file(file, folder / ADAPTER / file.name)
    return adapter_hashes.hash_tensors(folder / ADAPTER)


def _link_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _write_curves(report: Report, folder: Path, notes: list[str]) -> None:
    folder.mkdir()
    why = ""
    for plot in report.plots:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", plot.metric.name)[:80]
        _put(folder / f"{name}.svg", make_svg(plot))
        why = why or write_png(plot, folder / f"{name}.png")
    notes += [why] if why else []


def _write_decisions(report: Report, folder: Path) -> None:
    lines = ({"time": decision.time, **msgspec.to_builtins(decision)} for decision in report.decisions)
    _put(folder / "decisions.jsonl", "".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    cells: Sequence[tuple[str, ...]] = [
        (
            decision.time,
            "" if decision.trial is None else str(decision.trial),
            md.escape(decision.by),
            md.escape(decision.what),
            md.escape(decision.why),
        )
        for decision in report.decisions
    ]
    head = [f"# Decisions in {report.study.name}", ""]
    _put(
        folder / "decisions.md",
        "\n".join([*head, *md.write_table(("when (UTC)", "trial", "who", "what", "why"), cells)]),
    )


def _write_evidence(report: Report, folder: Path, notes: list[str]) -> None:
    base = Path(report.study.folder) / "trials"
    numbers = ["base", *([str(report.chosen.number)] if report.chosen is not None else [])]
    files = [
        (number, file) for number in numbers for file in sorted((base / number / "evidence").glob("*.json"))
    ]
    for number, file in files:
        if not file.is_symlink():
            place = folder / (number if number == "base" else f"trial-{number}")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place / file.name)
    notes += [] if files else ["no evidence: none was stored"]
