"""What the keys of charts do, for every screen with a grid of charts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, cast

from textual.screen import Screen

from tui.charts.chart_grid import ChartGrid
from tui.charts.kept_chart_view import find_view, restore
from tui.kept_state import StateFile, find_home_folder


class ChartKeys:
    """Mixed into a screen that holds one ``ChartGrid``. ``kept_as`` names what is kept of how the charts are
    looked at, study by study; empty: nothing."""

    console: Any
    kept_as: ClassVar[str] = ""
    _restored = ""  # the study whose kept view was taken

    def restore_view(self) -> None:
        """Look at the charts as the study's were looked at last, once."""
        name = self._find_study_name()
        if name and self._restored != name:
            self._restored = name
            restore(self.charts, StateFile(find_home_folder()), self.kept_as, name)

    def _keep(self) -> None:
        if self.kept_as and (name := self._find_study_name()):
            StateFile(find_home_folder()).keep(self.kept_as, name, find_view(self.charts))

    def _find_study_name(self) -> str:
        return getattr(getattr(self, "study", None), "name", "")

    @property
    def charts(self) -> ChartGrid:
        """Return the screen's grid."""
        return cast("Screen[None]", self).query_one(ChartGrid)

    def action_smooth(self, by: int) -> None:
        """Smooth the curves more, or less."""
        self.charts.look_at(self.charts.view.change_smoothing(by))
        self._keep()

    def action_log(self) -> None:
        """Logarithmic or linear values."""
        view = self.charts.view
        self.charts.look_at(replace(view, log_y=not view.log_y))
        self._keep()

    def action_log_x(self) -> None:
        """Logarithmic or linear x axis."""
        view = self.charts.view
        self.charts.look_at(replace(view, log_x=not view.log_x, window=None))
        self._keep()

    def action_along(self) -> None:
        """Steps, tokens, time."""
        self.charts.look_at(self.charts.view.switch_axis())
        self._keep()

    def action_zoom(self, by: int) -> None:
        """Zoom in or out."""
        self.charts.zoom(by)

    def action_pan(self, by: int) -> None:
        """Move the window."""
        self.charts.pan(by)

    def action_whole(self) -> None:
        """Show the whole axis, without a cursor."""
        self.charts.look_at(self.charts.view.show_whole())

    def action_crosshair(self, by: int) -> None:
        """Move the cursor of all charts."""
        self.charts.move_cursor(by)

    def action_choose(self, by: int) -> None:
        """Choose the next chart."""
        self.charts.choose(by)

    def action_enlarge(self) -> None:
        """Show the chosen chart alone, or all of them."""
        self.charts.enlarge()

    def action_arrange(self) -> None:
        """Show more or fewer charts at once."""
        self.charts.arrange_next()
        self._keep()
        self.console.say(f"charts: {self.charts.arrangement}")
