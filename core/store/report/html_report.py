"""Writes the report as one HTML page that works offline: no scripts, fonts or links; data is escaped."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from typing import Any

import tomli_w

from core.contract.spec.knob_table import find_knob
from core.contract.spec.metric_table import METRICS
from core.contract.state import best_and_counts, reference_values
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import report_card
from core.contract.views.metric_format import format_figure
from core.store.plots import svg_plot
from core.store.plots.plot_layout import DARK, LIGHT
from core.store.report import score_lines
from core.store.report.report_css import CSS
from core.store.report.report_data import Report
from core.store.report.trial_table_export import list_searched_knobs

DECISIONS = 2000  # lines on the page; decisions.jsonl has all
ROWS = 2000  # trials on the page; trials.csv has all
OPEN = 4  # plots shown initially; the others are folded
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # even unescaped markup could not load anything


def write_page(report: Report) -> str:
    """Return the whole page."""
    study = report.study
    colours = f"{svg_plot.make_style(LIGHT)}@media (prefers-color-scheme:dark){{{svg_plot.make_style(DARK)}}}"
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_write_text(study.name)} · trimtab</title><style>{CSS}{colours}</style></head><body>"
    )
    parts = [_write_head(report), _write_chosen_section(report), _write_curves(report), _write_boards(report)]
    parts += [_write_report_card(report), _write_trials(report)]
    parts += [_write_decisions(report), _write_origin(report)]
    return f"{head}{''.join(parts)}</body></html>\n"


def _write_text(value: object, limit: int = 2000) -> str:
    return html.escape(sanitize(str(value), limit))


def _write_date(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)) if at else "–"


def _write_section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _write_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs) + "</dl>"


def _write_table(names: Sequence[str], lines: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return an HTML table; ``lines`` holds each row's class, and its cells as whole ``td`` elements."""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f'<tr class="{kind}">{"".join(cells)}</tr>' for kind, cells in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _write_cell(value: object, kind: str = "") -> str:
    return f'<td class="{kind}">{_write_text(value)}</td>' if kind else f"<td>{_write_text(value)}</td>"


def _write_code(value: object) -> str:
    return f"<code>{_write_text(value)}</code>"


def _write_cell_code(value: object) -> str:
    return f"<td>{_write_code(value)}</td>"


def _write_value(value: Any) -> str:
    """Return a knob's value or a number as readable text."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return " + ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# -- sections --------------------------------------------------------------------------------------


def _write_head(report: Report) -> str:
    study, spec = report.study, report.spec
    search = {"sampler": spec.study.sampler, "pruner": spec.study.pruner, "seed": spec.study.seed}
    counts = (
        ", ".join(f"{count} {name}" for name, count in best_and_counts.count_states(study).items()) or "none"
    )
    why = f": {_write_text(study.why, 300)}" if study.why else ""
    pairs = [
        ("state", f"{_write_text(study.state)}{why}"),
        ("began", _write_date(study.created_at)),
        ("ended", _write_date(study.ended_at)),
        ("trials", f"{counts} of {study.total_trials} planned"),
        *([("pending", _write_text("; ".join(report.pending)))] if report.pending else []),
        ("objectives", _write_text(", ".join(f"{metric} ({goal})" for metric, goal in study.objectives))),
        ("search", ", ".join(f"{name} {_write_text(value)}" for name, value in search.items())),
        ("base model", _write_text(spec.model.base)),
        ("data", _write_text(spec.data.source)),
    ]  # fmt: skip
    subtitle = f'<p class="faint">A study by trimtab, written {_write_date(report.made_at)}</p>'
    return f"<h1>{_write_text(study.name)}</h1>{subtitle}{_write_pairs(pairs)}"


def _write_chosen_section(report: Report) -> str:
    trial = report.chosen
    if trial is None:
        return _write_section("Result", f"<p>{_write_text(report.why_none)}.</p>")
    names = list_searched_knobs(report.study)
    run_facts = report.ran.get(trial.number)
    pairs = [
        (f"<code>{_write_text(name)}</code>", f"<b>{_write_number(name, value)}</b>")
        for name, value in report.values.items()
    ]
    pairs += [
        ("base", f"{_write_code(name)} {_write_number(name, value)}")
        for name, value in _list_base(report).items()
    ]
    pairs += [("state", _write_text(trial.state)), ("steps", f"{trial.step:,} of {trial.total_steps:,}")]
    pairs += [("trained", f"{trial.trainable:,} parameters, {trial.elapsed_s:.1f} s")]
    if run_facts is not None:
        pack_mates = ", ".join(map(str, run_facts.beside))
        pairs.append(
            ("ran", "alone on its device" if run_facts.alone else f"in a pack with trials {pack_mates}")
        )
    knobs = [
        ("ahead" if name in names else "", (_write_cell_code(name), _write_cell(_write_value(value)),
         _write_cell("searched" if name in names else ""),
         _write_cell(knob.meaning if (knob := find_knob(name)) else "")))
        for name, value in trial.knobs.items()
    ]  # fmt: skip
    return _write_section(
        f"Trial {trial.number}", _write_pairs(pairs) + _write_table(("knob", "value", "", "meaning"), knobs)
    )


def _list_base(report: Report) -> dict[str, float]:
    return reference_values.list_base_values(report.study)


def _write_number(name: str, value: float | None) -> str:
    return format_figure(value, METRICS[name].unit if name in METRICS else "")


def _write_curves(report: Report) -> str:
    pictures = [svg_plot.make_svg(plot, alone=False) for plot in report.plots]
    first, hidden_plots = _write_plots(pictures[:OPEN]), _write_plots(pictures[OPEN:])
    details = (
        f"<details><summary>{len(pictures) - OPEN} more curves</summary>{hidden_plots}</details>"
        if hidden_plots
        else ""
    )
    return _write_section("Curves", first + details)


def _write_plots(pictures: list[str]) -> str:
    return f'<div class="plots">{"".join(pictures)}</div>' if pictures else ""


def _write_boards(report: Report) -> str:
    score_rows = score_lines.list_lines(report.study, report.chosen)
    kinds = {"broken": "bad", "kept": "good"}
    parts = []
    for board in dict.fromkeys(line.board for line in score_rows):
        lines = [
            ("", (_write_cell_code(line.metric), _write_cell(line.base), _write_cell(line.trial),
                  _write_cell(line.change),
                  _write_cell(f"{line.limit} {line.verdict}".strip(), kinds.get(line.verdict, "")),
                  _write_cell("; ".join(part for part in (line.meaning, line.note) if part))))
            for line in score_rows if line.board == board
        ]  # fmt: skip
        names = ("metric", "base", "this model", "change", "limit", "meaning")
        parts.append(f"<h3>{board.capitalize()}</h3>{_write_table(names, lines)}")
    return _write_section("Quality, safety and security", "".join(parts))


def _write_report_card(report: Report) -> str:
    if report.chosen is None:
        return ""
    kinds = {"broken": "bad", "shown": "good"}
    lines = [
        ("", (_write_cell_code(claim.metric), _write_cell(claim.text),
              _write_cell(claim.verdict, kinds.get(claim.verdict, "")), _write_cell(claim.basis),
              _write_cell(claim.how)))
        for claim in report_card.list_claims(report.study, report.chosen)
    ]  # fmt: skip
    missing = "".join(
        f"<li>{_write_text(text)}</li>" for text in report_card.list_unexamined(report.study, report.chosen)
    )
    introduction = (
        "<p>A claim is not shown unless an interval says otherwise; nothing here says that the model is "
        "safe.</p>"
    )
    table = _write_table(("metric", "claim", "verdict", "score", "measured how"), lines)
    return _write_section("Report card", f"{introduction}{table}<p>Not examined:</p><ul>{missing}</ul>")


def _write_trials(report: Report) -> str:
    study, names = report.study, list_searched_knobs(report.study)
    goals = [metric for metric, _ in study.objectives]
    trials = sorted(study.trials.values(), key=lambda trial: trial.number)[:ROWS]
    head = ["trial", "state", *map(_write_text, goals), *map(_write_text, names), "steps", "seconds", "why"]
    lines = [
        ("ahead" if trial == report.chosen else "", _write_trial(report, trial, names)) for trial in trials
    ]
    hidden_count = len(study.trials) - len(trials)
    hidden = f'<p class="faint">{hidden_count} more are in trials.csv.</p>' if hidden_count else ""
    return _write_section("All trials", _write_table(head, lines) + hidden) if trials else ""


def _write_trial(report: Report, trial: s.Trial, names: tuple[str, ...]) -> list[str]:
    goals = [metric for metric, _ in report.study.objectives]
    values = [best_and_counts.find_objective_value(report.study, trial, place) for place in range(len(goals))]
    return [
        _write_cell(trial.number, "n"), _write_cell(trial.state),
        *(_write_cell(_write_number(goal, value), "n") for goal, value in zip(goals, values, strict=True)),
        *(_write_cell(_write_value(trial.params.get(name, trial.knobs.get(name))), "n") for name in names),
        _write_cell(f"{trial.step:,}", "n"), _write_cell(f"{trial.elapsed_s:.1f}", "n"),
        _write_cell(trial.why),
    ]  # fmt: skip


def _write_decisions(report: Report) -> str:
    decisions = report.decisions[-DECISIONS:]
    lines = [
        ("bad" if decision.level == "error" else "", (
            _write_cell(decision.time, "t"),
            _write_cell("" if decision.trial is None else decision.trial, "n"),
            _write_cell(decision.by, "t"), _write_cell(decision.what), _write_cell(decision.why)))
        for decision in decisions
    ]  # fmt: skip
    hidden = len(report.decisions) - len(decisions)
    hidden_text = f'<p class="faint">{hidden} earlier ones are in decisions.jsonl.</p>' if hidden else ""
    return _write_section(
        "Decisions", hidden_text + _write_table(("when", "trial", "who", "what", "why"), lines)
    )


def _write_origin(report: Report) -> str:
    prints = [
        ("", (_write_cell_code(key), _write_cell(source.kind), _write_cell(source.name),
              _write_cell("" if source.rows is None else f"{source.rows:,}", "n"),
              f"<td><code>{_write_text(source.sha256 or source.revision or '')}</code> "
              f"{_write_text(source.note)}</td>"))
        for key, source in report.prints.items()
    ]  # fmt: skip
    version_pairs = [
        (_write_text(name), _write_text(value))
        for name, value in report.versions.items()
        if name != "packages"
    ]
    version_pairs += [
        (_write_text(name), _write_text(value)) for name, value in report.versions.get("packages", {}).items()
    ]
    toml = html.escape(sanitize(tomli_w.dumps(report.raw), lines=True))
    parts = [_write_table(("", "kind", "name", "rows", "SHA-256 or revision"), prints)] if prints else []
    parts.append(f"<details><summary>Versions and machine</summary>{_write_pairs(version_pairs)}</details>")
    parts.append(f"<details><summary>study.toml</summary><pre>{toml}</pre></details>")
    return _write_section("Inputs and versions", "".join(parts))
