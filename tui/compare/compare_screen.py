"""The compare screen: curves of several trials on one plot, differing knobs, metrics with intervals."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison as c
from core.contract.wire import console_api
from core.contract.wire.console_api import PairedLosses
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.charts.chart_grid import ChartGrid
from tui.charts.chart_keys import ChartKeys
from tui.compare.curve_overlay import compare_charts
from tui.compare.paired_rows import make_paired_question
from tui.compare.side_by_side import MOST, make_table
from tui.keys.chart_key_groups import CHARTS
from tui.keys.key_declarations import COMPARE, EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.widgets.cached_static import Sheet
from tui.widgets.focus_box import Box

LOSS = "eval/loss"


class CompareScreen(ChartKeys, StudyScreen):
    """Pushed on top of all trials; ``trials`` in the order in which they are shown."""

    KEYS = (COMPARE, CHARTS)
    TOPIC = "search"
    CRUMB = "compare"
    kept_as = "compared-charts"
    BINDINGS = make_bindings(COMPARE, EVERYWHERE, CHARTS)
    DEFAULT_CSS = """
    CompareScreen #title {
        height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    CompareScreen Box { height: 45%; }
    """

    def __init__(self, trials: Sequence[int]) -> None:
        super().__init__()
        self._trials, self._left = tuple(trials[:MOST]), len(trials[MOST:])
        self._drawn: tuple[object, ...] = ()
        self._held: list[s.Trial] = []  # as they were drawn
        self._asked: tuple[object, ...] = ()  # the paired question, and the evaluations then
        self._paired: tuple[PairedLosses, ...] = ()
        self._why = ""  # there are no paired differences
        self._latest: Latest | None = None

    def compose(self) -> ComposeResult:
        """Title, charts, the table, footer."""
        yield Sheet(id="title")
        yield ChartGrid(charts_wanted=1)
        yield Box("side by side")
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """The first of them."""
        trials = self._list_compared_trials()
        return trials[0] if trials else None

    def _list_compared_trials(self) -> list[s.Trial]:
        study_trials = self.study.trials if self.study is not None else {}
        return [study_trials[number] for number in self._trials if number in study_trials]

    # -- drawing ----------------------------------------------------------------------------------

    def action_along(self) -> None:
        """Steps, tokens, time; the title names it."""
        super().action_along()
        self.show()

    def draw(self) -> None:
        """Draw what changed of the trials."""
        study, trials = self.study, self._list_compared_trials()
        look, box = self.console.look, self.query_one(Box)
        self.restore_view()
        if study is not None:
            self._ask_paired(study, trials)
        charts, away = self.charts, self.console.engine.away
        drawn_state = (look, self.size, box.room, away, charts.view, charts.chosen, self._paired, self._why)
        is_unchanged = len(trials) == len(self._held) and all(map(operator.is_, trials, self._held))
        if study is None or (is_unchanged and drawn_state == self._drawn):
            return
        self._drawn, self._held = drawn_state, trials
        names = c.list_metrics(trials)
        self.charts.show(lambda along: compare_charts(trials, names, along), look)
        self.query_one("#title", Sheet).draw(self._make_title(study, trials))
        box.write(make_table(study, trials, box.room, look, self._paired, self._why))

    def _ask_paired(self, study: s.Study, trials: list[s.Trial]) -> None:
        """Ask how they differ on the same rows, again after each evaluation."""
        question = make_paired_question(study, trials)
        looks = tuple(trial.series[LOSS].seen if LOSS in trial.series else 0 for trial in trials)
        if question is None or (question, looks) == self._asked:
            return
        self._asked = (question, looks)
        if self._latest is None:
            self._latest = Latest(self.console.engine.ask, self._take_paired)
        self.run_worker(self._latest.send(question), group="paired", exit_on_error=False)

    def _take_paired(self, answer: console_api.Answer | None, why: str) -> None:
        self._why = why
        if isinstance(answer, console_api.Paired):
            self._paired = answer.differences
        self.show()

    def _make_title(self, study: s.Study, trials: list[s.Trial]) -> Text:
        look, away = self.console.look, self.console.engine.away
        line = self.draw_breadcrumbs()
        line.append(" ")
        if self._left:
            left_out = f"the first {MOST} of {MOST + self._left} marked: "
            line.append(left_out, style=look["warning"])
        line.append(", ".join(f"#{trial.number}" for trial in trials), style="bold")
        if away:
            line.append(f"  {sanitize(away, 120)}", style=f"bold {look['error']}")
        line.append(f"  {c.describe_axis(self.charts.view.along)}", style=look["muted"])
        best = best_and_counts.find_best(study)
        if best is not None and best.number in self._trials:
            line.append(f"   ★ #{best.number} is the study's best", style=look["muted"])
        return line

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To all trials."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Up and down the table."""
        self.query_one(Box).scroll_relative(y=by * 2, animate=False)
