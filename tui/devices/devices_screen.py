"""The devices screen: every card and the host, their history, and who holds GPU memory."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.device_condition_text import explain_no_gpu
from core.contract.views.trial_comparison import Along
from core.contract.wire.local_socket import find_own_name
from tui.base.base_screen import StudyScreen
from tui.base.confirm_dialog import Confirm
from tui.base.key_bar import KeyBar
from tui.charts.chart_curve import ChartData
from tui.charts.chart_grid import ChartGrid
from tui.charts.chart_keys import ChartKeys
from tui.devices.card_lines import make_card_lines
from tui.devices.device_charts import make_device_charts
from tui.devices.device_history_points import SPANS
from tui.devices.host_lines import make_host_lines
from tui.devices.process_lines import make_process_lines
from tui.devices.process_signals import SIGNALS, Target, explain_refusal, list_own_targets, send_signal
from tui.devices.signal_dialog import SignalDialog
from tui.keys.chart_key_groups import DEVICES
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.widgets.cached_static import Sheet
from tui.widgets.focus_box import Box

NAMES = {60: "1 minute", 600: "10 minutes", 3600: "1 hour", 21_600: "6 hours", 86_400: "1 day"}
LEFT = 16  # lines that charts, processes, title and keys need, without the cards


class DevicesScreen(ChartKeys, StudyScreen):
    """Pushed on top of any screen."""

    KEYS = (DEVICES,)
    BAR = DEVICES.footer
    TOPIC = "memory"
    CRUMB = "devices"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    DevicesScreen #title { height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; }
    DevicesScreen #cards { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    DevicesScreen ChartGrid { height: 2fr; }
    DevicesScreen Box { height: 1fr; min-height: 5; }
    DevicesScreen.low Box { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._span = 0

    def compose(self) -> ComposeResult:
        """Title, cards and host, history, processes, footer."""
        yield Sheet(id="title")
        yield Sheet(id="cards")
        yield ChartGrid()
        yield Box("processes by user")
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """No trial is selected here."""
        return None

    def draw(self) -> None:
        """Draw the latest reading."""
        state, look = self.console.engine.state, self.console.look
        machine = state.machine
        self.set_class(self.size.height < LEFT, "low")
        width = max(20, self.size.width - 2)
        self.query_one("#title", Sheet).draw(self._make_title(machine))
        room = max(2, self.size.height - LEFT - 2)
        cards = make_card_lines(machine, width, room, look) or self._explain_none(machine)
        lines = [*cards, *make_host_lines(machine, width, look)]
        self.query_one("#cards", Sheet).draw(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))
        self.charts.show(partial(self._make_charts, machine), look)
        self.query_one(Box).write(make_process_lines(state, look))

    def _make_charts(self, machine: s.Machine, along: Along) -> list[ChartData]:
        return make_device_charts(machine, SPANS[self._span])

    def _explain_none(self, machine: s.Machine) -> list[Text]:
        words = sanitize(explain_no_gpu(machine.why_none), 200) or "reading the machine …"
        return [Text(words, style=self.console.look["muted"], no_wrap=True, overflow="ellipsis")]

    def _make_title(self, machine: s.Machine) -> Text:
        look = self.console.look
        line = self.draw_breadcrumbs()
        host = sanitize(machine.host.name, 40)
        line.append(f" of {host}" if host else "", style=look["muted"])
        line.append(f"   the last {NAMES[SPANS[self._span]]}", style=look["accent"])
        line.append("  (t changes it)", style=look["muted"])
        away = self.console.engine.away
        if away:
            line.append(f"  {sanitize(away, 120)}", style=f"bold {look['error']}")
        return line

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To where you came from."""
        self.dismiss()

    def action_devices(self) -> None:
        """The key that opened the screen closes it."""
        self.dismiss()

    def action_along(self) -> None:
        """A longer history: 1 minute to 1 day."""
        self._span = (self._span + 1) % len(SPANS)
        self.charts.look_at(self.charts.view.show_whole())
        self.show()

    def action_signal(self) -> None:
        """Choose a process of one's own and a signal, and ask before it is sent."""
        engine = self.console.engine
        targets = list_own_targets(engine.state, find_own_name())
        if engine.read_only or engine.host:
            self.console.say("no signal is sent from a console that only reads, or to another host")
        elif not targets:
            self.console.say("no process of yours holds GPU memory")
        else:
            self.app.push_screen(SignalDialog(targets), self._ask_to_signal)

    def _ask_to_signal(self, chosen: tuple[Target, str] | None) -> None:
        if chosen is None:
            return
        target, name = chosen
        if why_not := explain_refusal(target, self.console.engine.pid):
            self.console.say(why_not)
            return

        def send_if_confirmed(yes: bool | None) -> None:
            if yes:
                why_not = send_signal(target, name)
                self.console.say(why_not or f"SIG{name} was sent to process {target.pid}")

        question = f"Send SIG{name} to {sanitize(target.name, 40)}, process {target.pid}?"
        self.app.push_screen(Confirm(question, SIGNALS[name][1]), send_if_confirmed)

    def action_scroll(self, by: int) -> None:
        """Up and down the processes."""
        self.query_one(Box).scroll_relative(y=by * 2, animate=False)
