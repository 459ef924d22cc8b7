"""Describes the selected cell: meaning of the metric, value, base value, limit, reason. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.text import Text

from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import Metric
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import HUNDREDTHS, SHARE, format_bound, format_change, format_score
from tui.boards.board_cells import MARKS, make_arrow
from tui.theme_colors import Palette
from tui.widgets.line_chart import Curve
from tui.widgets.text_wrapping import wrap_text

INDENT = " " * 10  # as the lines below it
WAYS = {"minimize": "lower is better", "maximize": "higher is better"}
SAID = {"ok": "kept", "breached": "breached", "unsure": "unsure: it may be chance"}
LINES = 5  # of the words, with one for the metric's meaning
MEANING_LINES = 3


def make_foot(
    study: s.Study,
    number: int,
    name: str,
    limits: dict[str, tuple[Limit, ...]],
    size: tuple[int, int],
    look: Palette,
) -> Text:
    """At most ``size`` (cells, lines) on a metric of a trial, or of the base for BASE."""
    trial = study.trials.get(number)
    reading, (width, height) = r.read(study, trial, name, limits), size
    lines = [
        *_explain_meaning(reading.metric, width, look),
        _format_value(reading, trial, look),
        _describe_base(reading, trial, width, look),
        _describe_limit(study, reading, look),
    ]
    lines += _describe_reason(study, reading, width, look)
    lines = (lines + [Text()] * height)[:height]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def count_lines(names: Iterable[str], width: int) -> int:
    """Return how many lines the words on any of these metrics need."""
    meanings = (len(_wrap_meaning(r.describe_metric(name), width)) for name in names)
    return LINES - 1 + min(MEANING_LINES, max(meanings, default=1))


def _wrap_meaning(metric: Metric, width: int) -> list[str]:
    """Name and meaning, unit and direction, in lines."""
    unit = f" [{metric.unit}]" if metric.unit not in ("", SHARE) else ""
    words = f"{sanitize(metric.name, 40)}  {metric.meaning}{unit}; {WAYS[metric.direction]}"
    return textwrap.wrap(words, max(20, width), subsequent_indent=INDENT, break_on_hyphens=False)


def _explain_meaning(metric: Metric, width: int, look: Palette) -> list[Text]:
    rows = [
        Text(row, style=look["muted"], no_wrap=True, overflow="ellipsis")
        for row in _wrap_meaning(metric, width)[:MEANING_LINES]
    ]
    rows[0].stylize(f"bold {look['info']}", 0, len(sanitize(metric.name, 40)))
    return rows


def _format_value(reading: r.Reading, trial: s.Trial | None, look: Palette) -> Text:
    owner_name = "base    " if trial is None else f"trial {trial.number}"
    line = Text(f"{owner_name:<9} ", style=look["muted"])
    if reading.score is None:
        return line.append("–")
    line.append(format_score(reading.score, reading.metric.unit), style="bold")
    if trial is not None:
        line.append(f" at step {r.find_step(trial, reading.metric.name)}", style=look["muted"])
    return line


def _describe_base(reading: r.Reading, trial: s.Trial | None, width: int, look: Palette) -> Text:
    if trial is None:
        return Text("          all trials are compared with the base", style=look["muted"])
    line = Text("base      ", style=look["muted"])
    if reading.base is None:
        return line.append("not scored", style=look["muted"])
    line.append(format_score(reading.base, reading.metric.unit))
    if reading.change is not None:
        arrow, meaning = make_arrow(reading)
        points = " points" if reading.metric.unit in HUNDREDTHS else ""
        line.append(
            f"  {arrow} {format_change(reading.change, reading.metric.unit)}{points} ", style=look[meaning]
        )
        words = _describe_comparison(reading)
        short = words.replace("within the error bars", "may be chance")
        line.append(words if line.cell_len + len(words) <= width else short, style=look[meaning])
    return line


def _describe_comparison(reading: r.Reading) -> str:
    if reading.better is None:
        return "the same"
    word = "better" if reading.better else "worse"
    if reading.clear:
        return word
    has_both = (
        reading.score is not None
        and reading.score.interval
        and reading.base is not None
        and reading.base.interval
    )
    return f"{word}, within the error bars" if has_both else f"{word}, without error bars"


def _describe_limit(study: s.Study, reading: r.Reading, look: Palette) -> Text:
    line = Text("limit     ", style=look["muted"])
    if not reading.limits:
        sign = "<=" if reading.metric.direction == "minimize" else ">="
        return line.append(
            f'none; such as evaluate.limits = ["{sanitize(reading.metric.name, 40)} {sign} …"]', look["muted"]
        )
    line.append(" and ".join(format_bound(limit, reading.metric.unit) for limit in reading.limits))
    if reading.verdict is not None:
        mark, meaning = MARKS[reading.verdict]
        word = SAID[reading.verdict]
        if reading.verdict == "unsure" and reading.score is not None and reading.score.interval is None:
            word = (
                "unsure: the score has no interval"
                if reading.score.value is not None
                else "unsure: the score has no value"
            )
        line.append(f"  {mark} {word}", style=look[meaning])
        if reading.verdict == "breached":
            line.append(f"; on_breach = {sanitize(r.describe_breach_action(study), 20)}", style=look["muted"])
    return line


def _describe_reason(study: s.Study, reading: r.Reading, width: int, look: Palette) -> list[Text]:
    if reading.score is None:
        return wrap_text(r.explain_unscored(study), width, look["muted"])
    style = look["warning" if reading.score.value is None else "muted"]
    return wrap_text(reading.score.reason, width, style) if reading.score.reason else []


def list_curves(study: s.Study, number: int, name: str, limits: dict[str, tuple[Limit, ...]]) -> list[Curve]:
    """The metric of a trial over its steps, with the base and the limits as level lines."""
    trial = study.trials.get(number)
    series = trial.series.get(name) if trial is not None else None
    if series is None or not series.values:
        return []
    ends = (series.steps[0], max(series.steps[-1], series.steps[0] + 1))
    times = 100 if r.describe_metric(name).unit in HUNDREDTHS else 1  # percent, as everywhere else
    base, values = study.base_scores.get(name), [times * value for value in series.values]
    level = [("base", base.value, "muted")] if base is not None and base.value is not None else []
    level += [("limit", limit.bound, "error") for limit in limits.get(name, ())]
    levels = [Curve(label, ends, (times * value,) * 2, meaning) for label, value, meaning in level]
    return [*levels, Curve(f"trial {number}", series.steps, values, "train")]
