"""A single chart in a frame, for screens that show one next to other things."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.state import engine_state as s
from core.contract.state.engine_state import Mark
from tui.charts.chart_curve import ChartData, Curve, Sign
from tui.charts.chart_grid import ChartGrid
from tui.charts.chart_view import SMOOTH, ChartView
from tui.theme_colors import Palette

__all__ = ["Chart", "Curve", "list_curves"]
CURVES = (("train/loss", "train loss", "train", ""), ("eval/loss", "eval loss", "eval", "•"))


def list_curves(trial: s.Trial, smooth: bool = False) -> list[Curve]:
    """Training and validation loss of a trial; with ``smooth`` a chart may average the training loss."""
    return [
        Curve(
            label, series.steps, series.values, meaning, sign, smooth and not sign, series.lows, series.highs
        )
        for metric, label, meaning, sign in CURVES
        if (series := trial.series.get(metric)) is not None and series.values
    ]


class Chart(ChartGrid):
    """Draws curves into its own size; ``border_title`` is its title."""

    def show(  # type: ignore[override]
        self, curves: Sequence[Curve], log: bool, look: Palette, empty: str = "no value yet",
        marks: Sequence[Mark] = (),
    ) -> None:  # fmt: skip
        """Draw ``curves``; ``log`` scales the values logarithmically; ``marks`` are lines at their steps."""
        self.view = ChartView(log_y=log, smoothing=SMOOTH, cursor=self.view.cursor, window=self.view.window)
        signs = tuple(Sign(mark.step, "edit", mark.text) for mark in marks)
        chart = ChartData(str(self.border_title or "loss"), tuple(curves), signs, empty=empty)
        super().show(lambda along: (chart,), look)
