"""The race as a widget: drawn again when what it shows has changed, and then only the lines that differ."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from core.contract.state import engine_state as s
from core.contract.views.trial_comparison import Along
from core.contract.views.trials.pruner_border import Border, find_border
from tui.study_table.race_plot import Race, make_race_lines
from tui.theme_colors import Palette
from tui.widgets.cached_static import Rewidened


class RaceView(Widget, can_focus=False):
    """Shows the curves of the trials in the table."""

    DEFAULT_CSS = "RaceView { height: 1fr; display: none; background: $surface; color: $foreground; }"

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._drawn_from: tuple[object, ...] = ()
        self._bordered: tuple[object, ...] = ()
        self._border = Border()
        self._lines: list[Text] = []

    def on_resize(self) -> None:
        """Have the race drawn for its new size."""
        self.post_message(Rewidened())

    def show(
        self, study: s.Study, numbers: list[int], cursor: int | None, along: Along, look: Palette
    ) -> None:
        """Draw the race of ``numbers``."""
        metric = study.objectives[0][0]
        curves = tuple(
            (number, id(trial.series.get(metric)), trial.state) for number, trial in study.trials.items()
        )
        judged = (study.name, id(study.spec), curves)
        if judged != self._bordered:
            self._bordered, self._border = judged, find_border(study)
        race = Race(study, numbers, cursor, along, self._border)
        drawn_from = (judged, tuple(numbers), cursor, along, self.size, id(look), self._list_others(race))
        if drawn_from == self._drawn_from:
            return
        self._drawn_from = drawn_from
        self._take(make_race_lines(race, (self.size.width, self.size.height), look))

    def _list_others(self, race: Race) -> tuple[object, ...]:
        """What else is drawn while there are no evaluations: the training losses."""
        if race.metric == race.study.objectives[0][0]:
            return ()
        return tuple(id(race.study.trials[number].series.get(race.metric)) for number in race.numbers)

    def _take(self, lines: list[Text]) -> None:
        before, self._lines = self._lines, lines
        for place in range(max(len(before), len(lines))):
            old = before[place] if place < len(before) else None
            new = lines[place] if place < len(lines) else None
            if old != new:
                self.refresh(Region(0, place, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Render one line."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        segments = self._lines[y].render(self.app.console)
        strip = Strip([segment for segment in segments if segment.text != "\n"])
        return strip.apply_style(self.rich_style).adjust_cell_length(self.size.width, self.rich_style)
