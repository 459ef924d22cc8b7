"""Describes the selected cell: meaning of the metric, value, base value, limit, reason. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.spec.metric_limits import Limit
from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import SHARE, bound, changed, told
from tui.boards.board_cells import MARKS, arrow_of
from tui.theme_colors import Palette
from tui.widgets.line_chart import Curve
from tui.widgets.wrapped_text import folded

WAYS = {"minimize": "lower is better", "maximize": "higher is better"}
SAID = {"ok": "kept", "breached": "breached", "unsure": "unsure: the interval contains the bound"}
LINES = 5


def foot(
    study: s.Study,
    number: int,
    name: str,
    limits: dict[str, tuple[Limit, ...]],
    width: int,
    look: Palette,
) -> Text:
    """LINES lines on a metric of a trial, or of the base for BASE."""
    trial = study.trials.get(number)
    one = r.read(study, trial, name, limits)
    lines = [
        _meaning(one, look),
        _value(one, trial, look),
        _against(one, trial, look),
        _limit(study, one, look),
    ]
    lines += _reason(study, one, width, look)
    lines = (lines + [Text()] * LINES)[:LINES]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def _meaning(one: r.Reading, look: Palette) -> Text:
    line = Text(plain(one.metric.name, 40), style="", no_wrap=True, overflow="ellipsis")
    line.stylize("bold")
    unit = f" [{one.metric.unit}]" if one.metric.unit not in ("", SHARE) else ""
    line.append(f"  {one.metric.meaning}{unit}; {WAYS[one.metric.direction]}", style=look["muted"])
    return line


def _value(one: r.Reading, trial: s.Trial | None, look: Palette) -> Text:
    who = "base    " if trial is None else f"trial {trial.number}"
    line = Text(f"{who:<9} ", style=look["muted"])
    if one.score is None:
        return line.append("–")
    line.append(told(one.score, one.metric.unit), style="bold")
    if trial is not None:
        line.append(f" at step {r.step_of(trial, one.metric.name)}", style=look["muted"])
    return line


def _against(one: r.Reading, trial: s.Trial | None, look: Palette) -> Text:
    if trial is None:
        return Text("          all trials are compared with the base", style=look["muted"])
    line = Text("base      ", style=look["muted"])
    if one.base is None:
        return line.append("not scored", style=look["muted"])
    line.append(told(one.base, one.metric.unit))
    if one.change is not None:
        arrow, meaning = arrow_of(one)
        points = " points" if one.metric.unit == SHARE else ""
        line.append(f"  {arrow} {changed(one.change, one.metric.unit)}{points} ", style=look[meaning])
        line.append(_compared(one), style=look[meaning])
    return line


def _compared(one: r.Reading) -> str:
    if one.better is None:
        return "the same"
    word = "better" if one.better else "worse"
    if one.clear:
        return word
    known = one.score is not None and one.score.interval and one.base is not None and one.base.interval
    return f"{word}, within the error bars" if known else f"{word}, without error bars"


def _limit(study: s.Study, one: r.Reading, look: Palette) -> Text:
    line = Text("limit     ", style=look["muted"])
    if not one.limits:
        sign = "<=" if one.metric.direction == "minimize" else ">="
        return line.append(
            f'none; such as evaluate.limits = ["{plain(one.metric.name, 40)} {sign} …"]', look["muted"]
        )
    line.append(" and ".join(bound(limit, one.metric.unit) for limit in one.limits))
    if one.verdict is not None:
        mark, meaning = MARKS[one.verdict]
        word = SAID[one.verdict]
        if one.verdict == "unsure" and one.score is not None and one.score.interval is None:
            word = (
                "unsure: the score has no interval"
                if one.score.value is not None
                else "unsure: the score has no value"
            )
        line.append(f"  {mark} {word}", style=look[meaning])
        if one.verdict == "breached":
            line.append(f"; on_breach = {plain(r.on_breach(study), 20)}", style=look["muted"])
    return line


def _reason(study: s.Study, one: r.Reading, width: int, look: Palette) -> list[Text]:
    if one.score is None:
        return folded(r.unscored(study), width, look["muted"])
    return folded(one.score.reason, width, look["warning"]) if one.score.reason else []


def curves(study: s.Study, number: int, name: str, limits: dict[str, tuple[Limit, ...]]) -> list[Curve]:
    """The metric of a trial over its steps, with the base and the limits as level lines."""
    trial = study.trials.get(number)
    series = trial.series.get(name) if trial is not None else None
    if series is None or not series.values:
        return []
    ends = (series.steps[0], max(series.steps[-1], series.steps[0] + 1))
    times = 100 if r.described(name).unit == SHARE else 1  # percent, as everywhere else
    base, values = study.base_scores.get(name), [times * value for value in series.values]
    level = [("base", base.value, "muted")] if base is not None and base.value is not None else []
    level += [("limit", limit.bound, "error") for limit in limits.get(name, ())]
    found = [Curve(label, ends, (times * value,) * 2, meaning) for label, value, meaning in level]
    return [*found, Curve(f"trial {number}", series.steps, values, "train")]
