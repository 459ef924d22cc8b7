"""Formats a trial's scores as texts: compared with the base and with limits."""

from __future__ import annotations

from typing import NamedTuple

from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import SHARE, format_bound, format_change, format_score

VERDICTS = {"ok": "kept", "breached": "broken", "unsure": "not sure", None: ""}
NOT_SCORED = "–"


class Line(NamedTuple):
    """The texts of one metric; ``verdict`` on the limit is kept, broken or not sure."""

    board: str
    metric: str
    meaning: str
    base: str
    trial: str
    change: str
    limit: str
    verdict: str
    note: str


def list_lines(study: s.Study, trial: s.Trial | None) -> list[Line]:
    """Return a line per metric that the base or the trial has, board by board."""
    limits_by_metric = r.list_limits(study)
    score_lines = []
    for board in r.list_boards(study):
        for name in r.list_names(study, board):
            if trial is None or name in trial.scores or name in study.base_scores:
                score_lines.append(_make_line(board, name, r.read(study, trial, name, limits_by_metric)))
    return score_lines


def _make_line(board: str, name: str, reading: r.Reading) -> Line:
    metric, unit = reading.metric, reading.metric.unit
    better = "lower is better" if metric.direction == "minimize" else "higher is better"
    measured = f" ({unit})" if unit and unit != SHARE else ""
    return Line(
        board, sanitize(name, 80), f"{metric.meaning}{measured}; {better}",
        _format_score(reading.base, unit), _format_score(reading.score, unit), _change(reading),
        " and ".join(format_bound(limit, unit) for limit in reading.limits), VERDICTS[reading.verdict],
        sanitize(reading.score.reason, 500) if reading.score is not None else "",
    )  # fmt: skip


def _format_score(score: Score | None, unit: str) -> str:
    return format_score(score, unit) if score is not None and score.value is not None else NOT_SCORED


def _change(reading: r.Reading) -> str:
    if reading.change is None or reading.better is None:
        return "none" if reading.change == 0 else ""
    word = "better" if reading.better else "worse"
    certainty = "" if reading.clear else " (may be chance)"
    return f"{format_change(reading.change, reading.metric.unit)} {word}{certainty}"
