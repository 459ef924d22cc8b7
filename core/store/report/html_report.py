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
from core.contract.text.sanitize import plain
from core.contract.views import report_card
from core.contract.views.metric_format import format_figure
from core.store.plots import svg_plot
from core.store.plots.plot_layout import DARK, LIGHT
from core.store.report import score_lines
from core.store.report.report_css import CSS
from core.store.report.report_data import Report
from core.store.report.trial_table_export import searched_knobs

DECISIONS = 2000  # lines on the page; decisions.jsonl has all
ROWS = 2000  # trials on the page; trials.csv has all
OPEN = 4  # plots shown initially; the others are folded
SEARCH = ("sampler", "pruner", "seed")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # even unescaped markup could not load anything


def page(report: Report) -> str:
    """Return the whole page."""
    study = report.study
    colours = f"{svg_plot.style(LIGHT)}@media (prefers-color-scheme:dark){{{svg_plot.style(DARK)}}}"
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(study.name)} · trimtab</title><style>{CSS}{colours}</style></head><body>"
    )
    parts = [_head(report), _chosen_section(report), _curves(report), _boards(report)]
    parts += [_report_card(report), _trials(report)]
    parts += [_decisions(report), _origin(report)]
    return f"{head}{''.join(parts)}</body></html>\n"


def _text(value: object, limit: int = 2000) -> str:
    return html.escape(plain(str(value), limit))


def _date(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)) if at else "–"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs) + "</dl>"


def _table(names: Sequence[str], lines: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return an HTML table; ``lines`` holds each row's class, and its cells as whole ``td`` elements."""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f'<tr class="{kind}">{"".join(cells)}</tr>' for kind, cells in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object, kind: str = "") -> str:
    return f'<td class="{kind}">{_text(value)}</td>' if kind else f"<td>{_text(value)}</td>"


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"


def _cell_code(value: object) -> str:
    return f"<td>{_code(value)}</td>"


def _value(value: Any) -> str:
    """Return a knob's value or a number as readable text."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return " + ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# -- sections --------------------------------------------------------------------------------------


def _head(report: Report) -> str:
    study, section = report.study, report.raw.get("study", {})
    counts = (
        ", ".join(f"{count} {name}" for name, count in best_and_counts.count_states(study).items()) or "none"
    )
    why = f": {_text(study.why, 300)}" if study.why else ""
    pairs = [
        ("state", f"{_text(study.state)}{why}"),
        ("began", _date(study.created_at)),
        ("ended", _date(study.ended_at)),
        ("trials", f"{counts} of {study.total_trials} planned"),
        *([("pending", _text("; ".join(report.pending)))] if report.pending else []),
        ("objectives", _text(", ".join(f"{metric} ({way})" for metric, way in study.objectives))),
        ("search", ", ".join(f"{name} {_text(section.get(name, '–'))}" for name in SEARCH)),
        ("base model", _text(report.raw.get("model", {}).get("base", ""))),
        ("data", _text(report.raw.get("data", {}).get("source", ""))),
    ]  # fmt: skip
    subtitle = f'<p class="faint">A study by trimtab, written {_date(report.made_at)}</p>'
    return f"<h1>{_text(study.name)}</h1>{subtitle}{_pairs(pairs)}"


def _chosen_section(report: Report) -> str:
    trial = report.chosen
    if trial is None:
        return _section("Result", f"<p>{_text(report.why_none)}.</p>")
    names = searched_knobs(report.study)
    ran = report.ran.get(trial.number)
    pairs = [
        (f"<code>{_text(name)}</code>", f"<b>{_number(name, value)}</b>")
        for name, value in report.values.items()
    ]
    pairs += [("base", f"{_code(name)} {_number(name, value)}") for name, value in _base(report).items()]
    pairs += [("state", _text(trial.state)), ("steps", f"{trial.step:,} of {trial.total_steps:,}")]
    pairs += [("trained", f"{trial.trainable:,} parameters, {trial.elapsed_s:.1f} s")]
    if ran is not None:
        pack_mates = ", ".join(map(str, ran.beside))
        pairs.append(("ran", "alone on its device" if ran.alone else f"in a pack with trials {pack_mates}"))
    knobs = [
        ("ahead" if name in names else "", (_cell_code(name), _cell(_value(value)),
         _cell("searched" if name in names else ""),
         _cell(knob.meaning if (knob := find_knob(name)) else "")))
        for name, value in trial.knobs.items()
    ]  # fmt: skip
    return _section(f"Trial {trial.number}", _pairs(pairs) + _table(("knob", "value", "", "meaning"), knobs))


def _base(report: Report) -> dict[str, float]:
    return reference_values.base_values(report.study)


def _number(name: str, value: float | None) -> str:
    return format_figure(value, METRICS[name].unit if name in METRICS else "")


def _curves(report: Report) -> str:
    pictures = [svg_plot.svg(plot, alone=False) for plot in report.plots]
    first, more = _plots(pictures[:OPEN]), _plots(pictures[OPEN:])
    details = (
        f"<details><summary>{len(pictures) - OPEN} more curves</summary>{more}</details>" if more else ""
    )
    return _section("Curves", first + details)


def _plots(pictures: list[str]) -> str:
    return f'<div class="plots">{"".join(pictures)}</div>' if pictures else ""


def _boards(report: Report) -> str:
    score_rows = score_lines.lines(report.study, report.chosen)
    kinds = {"broken": "bad", "kept": "good"}
    parts = []
    for board in dict.fromkeys(line.board for line in score_rows):
        lines = [
            ("", (_cell_code(line.metric), _cell(line.base), _cell(line.trial),
                  _cell(line.change),
                  _cell(f"{line.limit} {line.verdict}".strip(), kinds.get(line.verdict, "")),
                  _cell("; ".join(part for part in (line.meaning, line.note) if part))))
            for line in score_rows if line.board == board
        ]  # fmt: skip
        names = ("metric", "base", "this model", "change", "limit", "meaning")
        parts.append(f"<h3>{board.capitalize()}</h3>{_table(names, lines)}")
    return _section("Quality, safety and security", "".join(parts))


def _report_card(report: Report) -> str:
    if report.chosen is None:
        return ""
    kinds = {"broken": "bad", "shown": "good"}
    lines = [
        ("", (_cell_code(claim.metric), _cell(claim.text),
              _cell(claim.verdict, kinds.get(claim.verdict, "")), _cell(claim.basis), _cell(claim.how)))
        for claim in report_card.claims(report.study, report.chosen)
    ]  # fmt: skip
    missing = "".join(
        f"<li>{_text(text)}</li>" for text in report_card.list_unexamined(report.study, report.chosen)
    )
    introduction = (
        "<p>A claim is not shown unless an interval says otherwise; nothing here says that the model is "
        "safe.</p>"
    )
    table = _table(("metric", "claim", "verdict", "score", "measured how"), lines)
    return _section("Report card", f"{introduction}{table}<p>Not examined:</p><ul>{missing}</ul>")


def _trials(report: Report) -> str:
    study, names = report.study, searched_knobs(report.study)
    goals = [metric for metric, _ in study.objectives]
    trials = sorted(study.trials.values(), key=lambda trial: trial.number)[:ROWS]
    head = ["trial", "state", *map(_text, goals), *map(_text, names), "steps", "seconds", "why"]
    lines = [("ahead" if trial == report.chosen else "", _trial(report, trial, names)) for trial in trials]
    more = len(study.trials) - len(trials)
    hidden = f'<p class="faint">{more} more are in trials.csv.</p>' if more else ""
    return _section("All trials", _table(head, lines) + hidden) if trials else ""


def _trial(report: Report, trial: s.Trial, names: tuple[str, ...]) -> list[str]:
    goals = [metric for metric, _ in report.study.objectives]
    values = [best_and_counts.objective_value(report.study, trial, place) for place in range(len(goals))]
    return [
        _cell(trial.number, "n"), _cell(trial.state),
        *(_cell(_number(goal, value), "n") for goal, value in zip(goals, values, strict=True)),
        *(_cell(_value(trial.params.get(name, trial.knobs.get(name))), "n") for name in names),
        _cell(f"{trial.step:,}", "n"), _cell(f"{trial.elapsed_s:.1f}", "n"), _cell(trial.why),
    ]  # fmt: skip


def _decisions(report: Report) -> str:
    decisions = report.decisions[-DECISIONS:]
    lines = [
        ("bad" if decision.level == "error" else "", (
            _cell(decision.time, "t"), _cell("" if decision.trial is None else decision.trial, "n"),
            _cell(decision.by, "t"), _cell(decision.what), _cell(decision.why)))
        for decision in decisions
    ]  # fmt: skip
    hidden = len(report.decisions) - len(decisions)
    more = f'<p class="faint">{hidden} earlier ones are in decisions.jsonl.</p>' if hidden else ""
    return _section("Decisions", more + _table(("when", "trial", "who", "what", "why"), lines))


def _origin(report: Report) -> str:
    prints = [
        ("", (_cell_code(key), _cell(source.kind), _cell(source.name),
              _cell("" if source.rows is None else f"{source.rows:,}", "n"),
              f"<td><code>{_text(source.sha256 or source.revision or '')}</code> {_text(source.note)}</td>"))
        for key, source in report.prints.items()
    ]  # fmt: skip
    version_pairs = [
        (_text(name), _text(value)) for name, value in report.versions.items() if name != "packages"
    ]
    version_pairs += [
        (_text(name), _text(value)) for name, value in report.versions.get("packages", {}).items()
    ]
    toml = html.escape(plain(tomli_w.dumps(report.raw), lines=True))
    parts = [_table(("", "kind", "name", "rows", "SHA-256 or revision"), prints)] if prints else []
    parts.append(f"<details><summary>Versions and machine</summary>{_pairs(version_pairs)}</details>")
    parts.append(f"<details><summary>study.toml</summary><pre>{toml}</pre></details>")
    return _section("Inputs and versions", "".join(parts))
