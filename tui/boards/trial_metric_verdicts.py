"""Formats a trial's boards as a short list: value, verdict and change from the base. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import format_change, format_figure
from tui.boards.board_cells import MARKS, make_arrow
from tui.theme_colors import Palette
from tui.widgets.label_value import format_pair

ROOMY = 28  # minimum width for the change next to its arrow


def summarize_boards(study: s.Study, trial: s.Trial, width: int, look: Palette) -> list[Text]:
    """Return lines of ``width`` cells under the name of each board; none without scores."""
    limits, rows = r.list_limits(study), list[Text]()
    for board in r.list_boards(study):
        names = [name for name in r.list_names(study, board) if name in trial.scores]
        if names:
            compared = ", vs the base" if study.base_scores else ""
            rows.append(Text(f"{board} @{trial.scored_step}{compared}", style=look["primary"]))
        rows += [_make_row(r.read(study, trial, name, limits), width, look) for name in names]
    return rows


def _make_row(reading: r.Reading, width: int, look: Palette) -> Text:
    mark, meaning = MARKS[reading.verdict]
    name = Text(f"{mark} ", style=look[meaning])
    name.append(sanitize(reading.metric.name.split("/", 1)[-1], 40), style=look["muted"])
    value_text = Text(
        format_figure(reading.score.value if reading.score is not None else None, reading.metric.unit),
        style="bold",
    )
    if reading.change is not None:
        arrow, way = make_arrow(reading)
        value_text.append(f" {arrow}", style=f"not bold {look[way]}")
        if width >= ROOMY:
            value_text.append(
                format_change(reading.change, reading.metric.unit).rjust(6), style=f"not bold {look[way]}"
            )
    else:
        value_text.append(" " * (8 if width >= ROOMY else 2))
    return format_pair(name, value_text, width)
