"""How the charts of a study were looked at last: kept for the next console."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from core.contract.views.trial_comparison import Along
from tui.charts.chart_grid import MOST, ChartGrid
from tui.charts.chart_view import SMOOTHING
from tui.kept_state import StateFile


class KeptView(msgspec.Struct, frozen=True):
    """Axis, scales, smoothing and arrangement; window and cursor are of one moment and not kept."""

    along: Along = "steps"
    log_x: bool = False
    log_y: bool = False
    smoothing: float = 0.0
    wanted: int = 0


def find_view(charts: ChartGrid) -> KeptView:
    """Return what is kept of a grid."""
    view = charts.view
    return KeptView(view.along, view.log_x, view.log_y, view.smoothing, charts.wanted)


def restore(charts: ChartGrid, file: StateFile, part: str, study: str) -> None:
    """Look at the charts as they were looked at last; what cannot be read is left as it is."""
    try:
        kept_view = msgspec.convert(file.read(part)[study], KeptView)
    except (KeyError, msgspec.ValidationError):  # nothing kept, of a newer trimtab, or edited by hand
        return
    if kept_view.smoothing in SMOOTHING and 0 <= kept_view.wanted <= MOST:
        charts.wanted = kept_view.wanted
        charts.look_at(
            replace(
                charts.view,
                along=kept_view.along,
                log_x=kept_view.log_x,
                log_y=kept_view.log_y,
                smoothing=kept_view.smoothing,
            )
        )
