"""How charts are looked at: axis, window, cursor, scales, smoothing; the same for all charts of a screen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.contract.views.axis_scale import AxisScale
from core.contract.views.charts.chart_window import Window, pan, zoom
from core.contract.views.trial_comparison import ALONG, Along

SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)  # weights of the exponential moving average
SMOOTH = SMOOTHING[3]


@dataclass(frozen=True)
class ChartView:
    """``window``, ``cursor`` and ``dragged`` (the range of a drag) are in the units of the x axis; None:
    all of it, no cursor, and no drag."""

    along: Along = "steps"
    log_x: bool = False
    log_y: bool = False
    smoothing: float = 0.0
    window: Window | None = None
    cursor: float | None = None
    dragged: Window | None = None

    def change_smoothing(self, by: int) -> ChartView:
        """Return the view with the smoothing moved by some notches, as far as it goes."""
        place = min(range(len(SMOOTHING)), key=lambda index: abs(SMOOTHING[index] - self.smoothing))
        return replace(self, smoothing=SMOOTHING[min(len(SMOOTHING) - 1, max(0, place + by))])

    def switch_axis(self) -> ChartView:
        """Return the view over the next of steps, tokens and time; a window of the old axis means nothing."""
        along = ALONG[(ALONG.index(self.along) + 1) % len(ALONG)]
        return replace(self, along=along, window=None, cursor=None)

    def show_whole(self) -> ChartView:
        """Return the view of the whole axis without a cursor."""
        return replace(self, window=None, cursor=None)

    def zoom(self, full_axis: AxisScale, factor: float, at: float) -> ChartView:
        """Return the view with the window ``factor`` times as wide around the place ``at`` of it."""
        return replace(self, window=zoom(full_axis, self.window, factor, at))

    def zoom_to(self, window: Window) -> ChartView:
        """Return the view of ``window``, whichever of its ends comes first."""
        return replace(self, window=(min(window), max(window)), dragged=None)

    def pan(self, full_axis: AxisScale, share: float) -> ChartView:
        """Return the view with the window moved by a ``share`` of its width."""
        return replace(self, window=pan(full_axis, self.window, share))

    @property
    def words(self) -> tuple[str, ...]:
        """What differs from the usual view, in words."""
        return tuple(
            word
            for word, is_shown in (
                (f"over {self.along}", self.along != "steps"),
                ("log x", self.log_x),
                ("log scale", self.log_y),
                (f"smooth {self.smoothing:g}", self.smoothing > 0),
                ("zoomed", self.window is not None),
            )
            if is_shown
        )
