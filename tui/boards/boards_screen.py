"""The boards screen: quality, safety and security of each trial compared with the base model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Input, Static

from core.contract.spec.metric_limits import Limit, Verdict
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import POINTS, SHARE
from core.contract.views.trials.trial_filter import choose_trials
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.boards.board_cells import MARKS
from tui.boards.board_table import BoardTable
from tui.boards.cell_detail import count_lines, list_curves, make_foot
from tui.boards.evidence_screen import EvidenceScreen
from tui.boards.report_card_screen import ReportCardScreen
from tui.keys.key_declarations import BOARDS, EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.ui_messages import BoardLeft, CellChosen, CellOpened
from tui.widgets.cached_static import Sheet
from tui.widgets.line_chart import Chart

Limits = dict[str, tuple[Limit, ...]]
WIDE = 150  # columns from which the intervals stand in the table
LOW = 16  # lines below which the table alone is shown
SIDE = 14  # lines at least of words and chart side by side
AROUND = 10  # lines of title, heads, base, history and footer
TALL = 32  # lines from which the selected cell's past is drawn large


class BoardsScreen(StudyScreen):
    """Opens on top of any other screen, with the cursor on ``trial``."""

    KEYS = (BOARDS,)
    TOPIC = "boards"
    CRUMB = "boards"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    BoardsScreen #title {
        height: 2; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    BoardsScreen #lower { height: auto; layout: vertical; }
    BoardsScreen #foot {
        padding: 0 1; border-top: solid $border; text-wrap: nowrap; text-overflow: ellipsis;
    }
    BoardsScreen Chart { display: none; }
    BoardsScreen.tall Chart { display: block; }
    BoardsScreen.tall.wide #lower { layout: horizontal; }
    BoardsScreen.tall.wide #foot { width: 1fr; }
    BoardsScreen.tall.wide Chart { width: 1fr; }
    BoardsScreen #empty {
        height: 1fr; content-align: center middle; text-align: center; color: $text-muted; display: none;
    }
    BoardsScreen #filter { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self, trial: int | None) -> None:
        super().__init__()
        self._trial = trial
        self._board = ""
        self._sorted = ""  # the metric that orders the trials; empty: their numbers
        self._all = False
        self._turned = False  # intervals otherwise than the width says
        self._filter = ""
        self._heights: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Title with the boards' names, table, words on the selected cell, footer."""
        yield Sheet(id="title")
        yield Static("", id="empty", markup=False)
        yield BoardTable()
        with Container(id="lower"):
            yield Sheet(id="foot")
            yield Chart()
        yield Input(placeholder="filter: running  r=16  12", id="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        """The arrow keys go to the table."""
        super().on_mount()
        self.query_one(BoardTable).focus()

    def find_selected_trial(self) -> s.Trial | None:
        """The trial under the cursor; None on the base's row."""
        chosen = self.query_one(BoardTable).chosen
        return self.study.trials.get(chosen[0]) if self.study is not None and chosen is not None else None

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the current board."""
        study, look, table = self.study, self.console.look, self.query_one(BoardTable)
        boards = r.list_boards(study) if study is not None else ()
        if self._board not in boards:
            self._board = next(iter(boards), "")
        names = r.list_names(study, self._board) if study is not None else ()
        limits = r.list_limits(study) if study is not None else {}
        trials = self._list_trials(study) if study is not None else []
        self._arrange(names, len(trials))
        self.query_one("#title", Sheet).draw(self._make_title(study, boards, limits))
        table.display = bool(names)
        self.query_one("#lower").display = bool(names) and self.size.height >= LOW
        self._show_empty(study, bool(names))
        if study is None or not names:
            return
        sort_and_layout = (self._sorted, (self.size.width >= WIDE) != self._turned)
        table.show(study, limits, names, trials, sort_and_layout, look)
        if self._trial is not None:
            table.choose(self._trial)
            self._trial = None
        self._show_foot()

    def _arrange(self, names: Sequence[str], trials: int) -> None:
        """Show the parts that fit; the chart has the lines that the table leaves. It is drawn once its size
        is known."""
        width, height = self.size
        tall, wide = height >= TALL, width >= WIDE
        words = 1 + count_lines(names, (width // 2 if tall and wide else width) - 2)
        spare = height - AROUND - trials
        heights: tuple[int | str, ...] = ("auto", words, max(9, spare - words))
        if tall and wide:
            heights = (max(SIDE, spare), "100%", "100%")
        if (tall, wide, heights) == self._heights:
            return
        self._heights = (tall, wide, heights)
        self.set_class(tall, "tall")
        self.set_class(wide, "wide")
        for part, lines in zip(("#lower", "#foot", "Chart"), heights, strict=True):
            self.query_one(part).styles.height = lines
        self.call_after_refresh(self.show)

    def _show_foot(self) -> None:
        study, chosen, look = self.study, self.query_one(BoardTable).chosen, self.console.look
        if study is None or chosen is None:
            return
        limits, box, chart = r.list_limits(study), self.query_one("#foot", Sheet), self.query_one(Chart)
        size = max(20, box.size.width - 2), max(1, box.size.height)
        box.draw(make_foot(study, *chosen, limits, size, look))
        scale = {SHARE: ", in percent", POINTS: ", in points"}.get(r.describe_metric(chosen[1]).unit, "")
        chart.border_title = f"{sanitize(chosen[1], 40)} over its steps{scale}"
        why = "the base is scored once" if chosen[0] == r.BASE else "no score yet"
        chart.show(list_curves(study, *chosen, limits), False, look, why)

    def _list_trials(self, study: s.Study) -> list[int]:
        trials = [trial for trial in study.trials.values() if self._all or trial.scores]
        trials = choose_trials(study, trials, self._filter)
        if self._sorted:
            sign = 1 if r.describe_metric(self._sorted).direction == "minimize" else -1

            def rank(trial: s.Trial) -> tuple[bool, float, int]:
                score = trial.scores.get(self._sorted)
                value = score.value if score is not None else None
                has_value = value is not None and math.isfinite(value)
                return (not has_value, sign * value if has_value and value is not None else 0.0, trial.number)

            trials.sort(key=rank)
        return [trial.number for trial in trials]

    def _make_title(self, study: s.Study | None, boards: tuple[str, ...], limits: Limits) -> Text:
        look, away = self.console.look, self.console.engine.away
        line = self.draw_breadcrumbs()
        if away:
            line.append(f"  {sanitize(away, 120)}", style=f"bold {look['error']}")
        elif study is not None:
            line.append(f"  {self._describe_state(study)}", style=look["muted"])
        tabs = Text(no_wrap=True, overflow="ellipsis")
        for board in boards:
            is_shown = board == self._board
            tabs.append(f" {board} ", style=f"bold {look.cursor}" if is_shown else "")
            for verdict, count in self._describe_verdicts(study, board, limits) if study is not None else ():
                mark, meaning = MARKS[verdict]
                tabs.append(f" {mark}{count}", style=look[meaning])
            tabs.append("   ")
        return Text("\n", no_wrap=True, overflow="ellipsis").join([line, tabs])

    def _describe_state(self, study: s.Study) -> str:
        scored = sum(bool(trial.scores) for trial in study.trials.values())
        if not scored:
            is_told_below = not study.base_scores
            return "" if is_told_below or not r.list_boards(study) else r.explain_absent(study)[1]
        summary = f"{scored} of {len(study.trials)} trials scored"
        summary += f", matching {sanitize(self._filter, 20)!r}" if self._filter else ""
        return f"{summary}, best {sanitize(self._sorted, 30)} first" if self._sorted else summary

    def _describe_verdicts(self, study: s.Study, board: str, limits: Limits) -> list[tuple[Verdict, int]]:
        """Count a board's breached limits and unsure verdicts."""
        verdicts = [
            r.judge_limits(trial.scores, name, limits, trial)
            for name in limits
            if r.find_board(name) == board
            for trial in study.trials.values()
            if name in trial.scores
        ]
        return [(verdict, verdicts.count(verdict)) for verdict in r.WORST[:2] if verdict in verdicts]

    def _show_empty(self, study: s.Study | None, filled: bool) -> None:
        empty = self.query_one("#empty", Static)
        empty.display = not filled
        if filled:
            return
        if not self.console.engine.attached:
            empty.update("attaching to the engine …")
        elif study is None:
            empty.update("no study yet\n\ntrimtab run SPEC starts one; Esc goes to the start page")
        else:
            reason, fix = r.explain_absent(study)
            empty.update(Text(f"{reason}:\n\n{fix}" if reason else fix, justify="center"))

    # -- keys -------------------------------------------------------------------------------------

    def on_cell_chosen(self, message: CellChosen) -> None:
        """The words below follow the cursor."""
        self._show_foot()

    def on_cell_opened(self, message: CellOpened) -> None:
        """A double click."""
        self.action_evidence()

    def on_board_left(self, message: BoardLeft) -> None:
        """Past the edge of a board the next one begins."""
        before = self._board
        self.action_board(message.by)
        if self._board != before:
            self.query_one(BoardTable).choose(edge=-message.by)

    def action_back(self) -> None:
        """All trials again where they were filtered; else to where it was opened."""
        box = self.query_one("#filter", Input)
        if not box.display:
            self.dismiss()
            return
        box.value, box.display, self._filter = "", False, ""
        self.query_one(BoardTable).focus()
        self.show()

    def action_boards(self) -> None:
        """Do nothing: the boards are already open."""

    def action_move(self, rows: int, columns: int) -> None:
        """Another cell."""
        self.query_one(BoardTable).move(rows, columns)

    def action_board(self, by: int) -> None:
        """The next or previous board, as far as there is one."""
        boards = r.list_boards(self.study) if self.study is not None else ()
        place = boards.index(self._board) + by if self._board in boards else 0
        if 0 <= place < len(boards):
            self._board = boards[place]
            self.show()

    def action_evidence(self) -> None:
        """What the number rests on."""
        chosen = self.query_one(BoardTable).chosen
        if chosen is not None:
            self.app.push_screen(EvidenceScreen(*chosen))

    def action_card(self) -> None:
        """Open the report card of the selected trial."""
        chosen = self.query_one(BoardTable).chosen
        if chosen is not None and chosen[0] != r.BASE:
            self.app.push_screen(ReportCardScreen(chosen[0]))
        else:
            self.console.say("the base has no report card; select a trial")

    def action_sort(self) -> None:
        """Best first by the selected metric; once more, by number."""
        chosen = self.query_one(BoardTable).chosen
        if chosen is not None:
            self._sorted = "" if self._sorted == chosen[1] else chosen[1]
            self.show()

    def action_all(self) -> None:
        """Trials that are not scored, too, or not."""
        self._all = not self._all
        self.console.say("all trials" if self._all else "scored trials only")
        self.show()

    def action_intervals(self) -> None:
        """Intervals in the table, or more metrics."""
        self._turned = not self._turned
        self.show()

    def action_filter(self) -> None:
        """Ask for the filter's text."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._filter = event.value.strip()
        self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, give the keys back to the table."""
        self.query_one("#filter", Input).display = bool(self._filter)
        self.query_one(BoardTable).focus()
