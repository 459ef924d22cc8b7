"""The trial screen: a grid of charts, knobs, latest metrics, and events with their reasons."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll

from core.contract.spec.metric_table import ROW_SHARE, SHARES, TOKEN_SHARE, find_metric
from core.contract.state import engine_state as s
from core.contract.state import study_progress, unrated_trials
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_format import HUNDREDTHS, format_figure
from tui.base.key_bar import KeyBar
from tui.boards.trial_metric_verdicts import summarize_boards
from tui.charts.chart_grid import ChartGrid
from tui.charts.chart_keys import ChartKeys
from tui.column_format import format_scientific, write_knob
from tui.introspection.loss_and_attention_screen import InsidesScreen
from tui.keys.chart_key_groups import CHART_CHOICE, CHARTS
from tui.keys.footer_order import TRIAL_BAR
from tui.keys.key_declarations import EVERYWHERE, STEERING, TRIAL
from tui.keys.key_definition import make_bindings
from tui.number_text import ASKED, GLYPHS, draw_bar, format_duration, format_number, format_size
from tui.steering.edit_clone_mark_actions import SteeringScreen
from tui.trial.diagnosis_panel import DiagnosisPanel
from tui.trial.metric_charts import make_metric_charts
from tui.trial.steering_line import describe_steering
from tui.widgets.cached_static import Sheet
from tui.widgets.event_list import EventList
from tui.widgets.label_value import format_pair

NARROW, SLIM = 76, 50  # columns below which the latest metrics, then the parameters, make room for the events
ROOMY = 30  # cells of a box from which a cell can stay free
LOW = 15  # lines below which the charts have it all


class TrialCharts(ChartGrid, can_focus=True):
    """Has the focus at first, so that the arrow keys choose a chart and not a line of a list."""

    BINDINGS = make_bindings(CHART_CHOICE)


class DetailScreen(ChartKeys, SteeringScreen):
    """Pushed on top of all trials."""

    KEYS = (TRIAL, CHARTS, CHART_CHOICE, STEERING)
    BAR = TRIAL_BAR
    TOPIC = "steering"
    kept_as = "trial-charts"
    BINDINGS = make_bindings(TRIAL, EVERYWHERE, CHARTS, STEERING)
    DEFAULT_CSS = """
    DetailScreen #title {
        height: auto; min-height: 2; padding: 0 1; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    DetailScreen #lower { height: 40%; min-height: 3; }
    DetailScreen .facts {
        border: round $border; border-title-color: $text-muted; padding: 0 1; width: 30%; min-width: 28;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    DetailScreen .facts Static { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    DetailScreen #numbers { width: 30%; min-width: 26; }
    DetailScreen EventList { width: 1fr; }
    DetailScreen.narrow #numbers, DetailScreen.slim .facts, DetailScreen.low #lower { display: none; }
    """

    def __init__(self, trial: int) -> None:
        super().__init__()
        self._trial = trial

    @property
    def crumb(self) -> str:
        """The trial."""
        return f"trial {self._trial}"

    def compose(self) -> ComposeResult:
        """Title, charts, three boxes, footer."""
        yield Sheet(id="title")
        yield TrialCharts()
        yield DiagnosisPanel()
        with Horizontal(id="lower"):
            with VerticalScroll(classes="facts") as knobs:
                knobs.border_title = "parameters"
                yield Sheet(id="knobs")
            with VerticalScroll(classes="facts", id="numbers") as latest:
                latest.border_title = "latest"
                yield Sheet(id="latest")
            yield EventList()
        yield KeyBar()

    def on_diagnosis_panel_chosen(self, message: DiagnosisPanel.Chosen) -> None:
        """Ask before a remedy is applied."""
        request, trial = message.remedy.request, self.find_selected_trial()
        if request is not None and trial is not None:
            detail = "It is asked of the engine at once, and stands in the trial's events."
            self._ask_first(f"{message.remedy.label.capitalize()}?", detail, request)

    def find_selected_trial(self) -> s.Trial | None:
        """The trial on the screen."""
        return self.study.trials.get(self._trial) if self.study is not None else None

    def draw(self) -> None:
        """Draw the trial as it is now."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        look, size = self.console.look, self.size
        for name, is_shown in (
            ("narrow", size.width < NARROW), ("slim", size.width < SLIM), ("low", size.height < LOW),
        ):  # fmt: skip
            self.set_class(is_shown, name)
        self.query_one("#title", Sheet).draw(self._make_title(study, trial))
        self.restore_view()
        self.charts.show(partial(make_metric_charts, study, trial), look, trial.number)
        self.query_one(DiagnosisPanel).show(study, trial, look, self.console.engine.state.machine)
        self.query_one("#knobs", Sheet).draw(self._describe_knobs(study, trial))
        self.query_one("#latest", Sheet).draw(self._describe_latest(study, trial))
        lines = trial.lines
        if trial.traceback:
            lines = (*lines, s.Line(trial.ended_at or 0.0, "traceback:", "error"))
            for row in trial.traceback.rstrip().splitlines():
                lines = (*lines, s.Line(trial.ended_at or 0.0, row, "error"))
        self.query_one(EventList).show(lines, look)

    def _make_title(self, study: s.Study, trial: s.Trial) -> Text:
        look = self.console.look
        line = self.draw_breadcrumbs()
        word = ASKED.get(trial.asked, trial.state)
        line.append(
            f"  {GLYPHS[trial.state]} {word}  ", style=look["warning" if trial.asked else trial.state]
        )
        full, empty = draw_bar(trial.step / trial.total_steps if trial.total_steps else 0.0, 16)
        line.append(full, style=look[trial.state])
        line.append(empty, style=look["muted"])
        line.append(f" {trial.step}/{trial.total_steps} steps  {format_duration(trial.elapsed_s)}")
        left_s = study_progress.estimate_trial_left_s(study, trial)
        if left_s is not None:
            line.append(f", {format_duration(left_s)} left", style=look["muted"])
        if trial.device:
            line.append(f"  on {sanitize(trial.device, 20)}", style=look["muted"])
        why = self._describe_activity(study, trial)
        why.append(
            sanitize(trial.why or (trial.lines[-1].text if trial.lines else ""), 300), style=look["muted"]
        )
        lines = [line, why, *([history] if (history := describe_steering(trial, look)) else [])]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)

    def _describe_activity(self, study: s.Study, trial: s.Trial) -> Text:
        """Its last evaluation; and what is being scored: of a complete trial its last scores, else a snapshot
        of it while it trains."""
        look, line = self.console.look, Text(no_wrap=True, overflow="ellipsis")
        waits = unrated_trials.format_wait(study, trial)
        line.append(f"{waits}: T, then Tab, compares its answers  " if waits else "", style=look["info"])
        words, left_s = study_progress.format_scoring(trial), study_progress.estimate_scoring_left_s(trial)
        if study_progress.is_evaluating(trial):
            line.append(f"{study_progress.EVALUATING}  ", style=look["info"])
        if words and trial.pending:
            left_text = f", {format_duration(left_s)} left" if left_s is not None else ""
            line.append(f"{words}{left_text}  ", style=look["info"])
        elif words:
            line.append(f"step {trial.scoring}: {words}  ", style=look["muted"])
        return line

    def _describe_knobs(self, study: s.Study, trial: s.Trial) -> Text:
        look, width = self.console.look, self._measure_inside("#knobs")
        ordered = sorted(study.settings.knobs, key=lambda knob: knob.name not in trial.params)
        rows = []
        for knob in ordered:
            value = trial.knobs.get(knob.name)
            if value is not None:
                searched = knob.name in trial.params
                edited = searched and value != trial.params[knob.name]
                sign = Text("✎ " if edited else "◆ " if searched else "  ", style=look["accent"])
                sign.append(knob.name, style="" if searched else look["muted"])
                knob_text = Text(
                    sanitize(write_knob(study, knob.name, value), 40), style="bold" if searched else ""
                )
                rows.append(format_pair(sign, knob_text, width))
        rows.append(Text("◆ searched", style=look["muted"]))
        return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)

    def _describe_latest(self, study: s.Study, trial: s.Trial) -> Text:
        look, width, rows = self.console.look, self._measure_inside("#latest"), []
        for name, value in sorted(trial.latest.items()):
            if name in trial.scores or name.startswith(SHARES):
                continue  # with its interval's verdict below, or in one line
            unit = metric.unit if (metric := find_metric(name)) is not None else ""
            plain_text = format_scientific(value) if "learning_rate" in name else format_number(value)
            text = format_figure(value, unit) if unit in HUNDREDTHS else plain_text
            value_text = Text(format_size(value) if unit == "bytes" else text, style="bold")
            if unit not in ("", "bytes", *HUNDREDTHS) and width >= 40:
                value_text.append(f" {unit}", style=look["muted"])
            rows.append(format_pair(Text(sanitize(name, 40), style=look["muted"]), value_text, width))
        if balance := describe_balance(trial):
            rows.append(format_pair(Text("trained rows (tokens)", style=look["muted"]), Text(balance), width))
        if trial.trainable:
            count = Text(f"{trial.trainable:,}")
            rows.append(format_pair(Text("adapter parameters", style=look["muted"]), count, width))
        rows += summarize_boards(study, trial, width, look)
        if not rows:
            return Text("no value yet", style=look["muted"])
        return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)

    def _measure_inside(self, box: str) -> int:
        """The cells that a line of ``box`` may take: one stays free before the scroll bar where there is
        room."""
        width = self.query_one(box).size.width
        return max(16, width - (width >= ROOMY))

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To all trials."""
        self.dismiss()

    def action_neighbour(self, by: int) -> None:
        """The next or previous trial, as far as there is one."""
        number = self.find_neighbour(self._trial, by)
        if number is not None and number != self._trial:
            self._trial = number
            self.show()

    def action_insides(self) -> None:
        """Open the introspection of the trial."""
        self.app.push_screen(InsidesScreen(self._trial))


def describe_balance(trial: s.Trial) -> str:
    """Return each source's share of the rows trained so far, and of their tokens; empty without a mixture."""
    names = [name.removeprefix(ROW_SHARE) for name in trial.latest if name.startswith(ROW_SHARE)]
    shares = [
        (trial.latest[f"{ROW_SHARE}{name}"], trial.latest.get(f"{TOKEN_SHARE}{name}", 0.0)) for name in names
    ]
    parts = zip(names, shares, strict=True)
    return ", ".join(f"{sanitize(name, 20)} {rows:.0%} ({tokens:.0%})" for name, (rows, tokens) in parts)
