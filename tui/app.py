"""The console app: connects to the engine, selects the study, and draws at a limited rate."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import SystemCommand
from textual.screen import Screen

from core.contract.events.event_types import Event
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.errors import TrimtabError
from tui import terminal_restore, theme_choice
from tui.base.base_screen import StudyScreen
from tui.base.help_screen import Help
from tui.boards.boards_screen import BoardsScreen
from tui.command_line.navigation import Navigation
from tui.console_settings import Settings
from tui.data.data_screen import DataScreen
from tui.devices.device_use import DeviceUse
from tui.devices.devices_screen import DevicesScreen
from tui.engine_connection import Engine
from tui.insight.insight_screen import InsightScreen
from tui.keys.custom_key_map import check_key_map
from tui.keys.key_declarations import ALWAYS, list_commands
from tui.keys.key_definition import make_bindings
from tui.memory.memory_screen import MemoryScreen
from tui.samples.samples_screen import SamplesScreen
from tui.study.study_screen import AllTrials
from tui.terminal import clipboard, terminal_notifications
from tui.terminal.capabilities import Capabilities
from tui.terminal.frame_display import DEFAULT_RATE, FrameDisplay
from tui.theme_colors import DEFAULT, Palette, make_themes

if TYPE_CHECKING:
    from core.contract.hosts.ssh_tunnel import Tunnel

PACE_S = 0.1  # between two looks whether something is to be drawn
CLOCK_S = 1.0  # elapsed times advance even without events


class TrimtabApp(Navigation, FrameDisplay):
    """The Textual app. ``clock`` returns Unix seconds; tests freeze it."""

    TITLE = "trimtab"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = make_bindings(ALWAYS)

    def __init__(
        self,
        socket: Path,
        study: str | None = None,
        clock: Callable[[], float] = time.time,
        capabilities: Capabilities = Capabilities(),  # noqa: B008 it is frozen
        rate: float = DEFAULT_RATE,
        settings: Settings = Settings(),  # noqa: B008 it is frozen
        tunnel: Tunnel | None = None,
    ) -> None:
        super().__init__(capabilities, rate)
        self.settings = settings
        self.engine = Engine(socket, self._draw_snapshot, self._announce_events, tunnel)
        self._was_away = self._title_set = False
        self.clock = clock
        self._now = clock()
        self._wanted = study
        self._drawn = (-1, 0.0)
        self._palette: tuple[str, Palette] | None = None
        self.broken = False  # it ended by an error
        self.home: Path | None = None  # where the chosen theme is kept
        self.place = ""  # user and host, for the header
        self.key_map, faults = check_key_map(settings.keys)
        self.set_keymap(self.key_map)
        faults += self.take_own_commands(settings.command)
        loaded, self.faults = make_themes()
        self.faults += faults
        for theme in loaded:
            self.register_theme(theme)
        if DEFAULT in self.available_themes:  # else Textual's own
            self.theme = DEFAULT

    # -- what screens need ------------------------------------------------------------------------

    @property
    def study(self) -> s.Study | None:
        """Return the displayed study: the chosen one, else a live one, else the newest."""
        studies = self.engine.state.studies
        if self._wanted in studies:
            return studies[self._wanted]
        live = [study for study in studies.values() if study.state in s.LIVE_STUDY]
        return live[-1] if live else next(reversed(studies.values()), None)

    @property
    def others(self) -> int:
        """Return the number of studies that are not displayed."""
        return max(0, len(self.engine.state.studies) - 1)

    def now(self) -> float:
        """Return the time to draw; it does not advance while the engine is silent."""
        if not self.engine.away:
            self._now = self.clock()
        return self._now

    @property
    def look(self) -> Palette:
        """Return the colours of the current theme."""
        if self._palette is None or self._palette[0] != self.theme:
            self._palette = (self.theme, Palette(self.get_css_variables()))
        return self._palette[1]

    def say(self, text: str) -> None:
        """Show a short notification."""
        self.notify(sanitize(text, 300), timeout=3, markup=False)

    def ask(self, request: console_api.AnyRequest) -> None:
        """Send a request and show a refusal with its reason. The screen changes when the event arrives."""
        self.run_worker(self._ask(request), group="requests", exit_on_error=False)

    async def _ask(self, request: console_api.AnyRequest) -> None:
        try:
            await self.engine.ask(request)
        except TrimtabError as error:
            for problem in error.problems:
                title = sanitize(problem.where, 60) or "refused"
                text = sanitize(problem.what, 200) + (
                    f"\n→ {sanitize(problem.fix, 200)}" if problem.fix else ""
                )
                self.notify(text, title=title, severity="warning", timeout=6, markup=False)

    # -- life -------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Draw first, then connect to the engine."""
        self.push_screen(AllTrials())
        if not self.is_headless:
            terminal_restore.resume_in_order(self._driver)
        self.call_after_refresh(self._follow)
        self.set_interval(min(PACE_S, self.pacing.every_s), self._draw)
        for fault in self.faults:
            self.say(fault)

    async def on_event(self, event: events.Event) -> None:
        """Delay a key typed before a screen is drawn, so that it acts on the drawn rows."""
        if self._title_set and isinstance(event, events.InputEvent):
            self._title_set = False
            self.send(terminal_notifications.make_title(""))
        if isinstance(event, events.Key) and not event.is_forwarded and isinstance(self.screen, StudyScreen):
            await self.screen.wait_until_drawn()
            if self.away_notice is not None:
                self.away_notice.note_key(self.clock(), self.engine.pid)
        await super().on_event(event)

    def _follow(self) -> None:
        self.run_worker(self.engine.follow(), group="engine", exit_on_error=True)

    def _announce_events(self, events: Sequence[Event]) -> None:
        for text in terminal_notifications.list_texts(events, self.engine.state, self.settings.notices):
            self._announce(text)

    def _announce(self, text: str) -> None:
        """Tell someone who is not at the keys."""
        if not self.pacing.is_attended(time.monotonic()):
            self.send(terminal_notifications.make_sequence(text, self.settings.notices, os.environ))
            self._title_set = self.settings.notices.title

    def _notice_return(self) -> None:
        """Say that the engine is back after it was away."""
        away = bool(self.engine.away)
        if self._was_away and not away and self.settings.notices.engine_back:
            self._announce(terminal_notifications.ENGINE_BACK)
        self._was_away = away and self.engine.attached

    def _draw_snapshot(self) -> None:
        """Draw what has arrived at once: the next key acts on it."""
        self._drawn = (-1, 0.0)
        self._draw()

    def _draw(self) -> None:
        """Draw when the state changed, and once a second for the clocks of a live study."""
        self._notice_return()
        version, at = self._drawn
        now = time.monotonic()
        alive = self.study is not None and self.study.state in s.LIVE_STUDY
        if self.engine.version == version and not (alive and now - at >= CLOCK_S):
            return
        if version >= 0 and (self.line_is_busy or now - at < self.pacing.find_draw_interval_s(now)):
            return
        self._drawn = (self.engine.version, now)
        self.show_what_happened()
        self.pacing.note_drawn(now, time.process_time())
        for screen in self.screen_stack:
            if isinstance(screen, StudyScreen) and (screen is self.screen or self.screen.is_modal):
                screen.show()

    def use_theme(self, home: Path, light: bool) -> None:
        """Load the themes of the home folder and use the chosen one, or the one that suits the terminal."""
        loaded, faults = make_themes(home / "themes")
        self.faults += faults
        for theme in loaded:
            self.register_theme(theme)
        theme_name = self.settings.theme or theme_choice.read_remembered(home)
        chosen, fault = theme_choice.choose(
            theme_name, self.available_themes, self.capabilities.colors, light
        )
        self.faults += [fault] if fault else []
        if chosen in self.available_themes:
            self.theme = chosen
        self.home = home

    def watch_theme(self) -> None:
        """Redraw everything in the new colours, and keep the choice."""
        if self.home is not None:
            theme_choice.remember(self.home, self.theme)
        self._palette = None
        self._drawn = (-1, 0.0)

    # -- keys and commands ------------------------------------------------------------------------

    def action_help(self) -> None:
        """Show all keys, those of the current screen first."""
        screen = self.screen
        keys_and_topic = (screen.KEYS, screen.TOPIC) if isinstance(screen, StudyScreen) else ()
        self.push_screen(Help(self.look, *keys_and_topic))

    def action_copy(self) -> None:
        """Copy the marked text, or else the selected trial's knobs as lines of a study file."""
        screen = self.screen
        trial = screen.find_selected_trial() if isinstance(screen, StudyScreen) else None
        text = screen.get_selected_text() or (describe_knobs(trial) if trial is not None else "")
        try:
            sequence = clipboard.make_copy_sequence(text, os.environ)
        except ValueError as error:
            self.say(f"not copied: {error}")
            return
        if text:
            self.send(sequence)
        self.say(f"copied: {text.splitlines()[0]}" if text else "nothing is selected")

    def action_detach(self) -> None:
        """Leave the console; the study continues."""
        self.exit()

    def action_suspend_process(self) -> None:
        """Suspend to the shell and restore the terminal; `fg` returns."""
        if not terminal_restore.can_be_resumed():
            self.say("no shell could resume the console; press q to detach")
            return
        self.app_suspend_signal.publish(self)
        terminal_restore.suspend()

    def leave(self, code: int) -> bool:
        """Exit cleanly with this code from a signal handler; False if the app is not running."""
        if not self.is_running or self._loop is None:
            return False
        self._loop.call_soon_threadsafe(self.exit, None, code)
        return True

    def _print_error_renderables(self) -> None:
        """Print nothing: ``run`` raises the error, and the command line prints it."""
        self.broken = self.broken or bool(self._exit_renderables)
        self._exit_renderables.clear()

    def open_memory(self, trial: int | None) -> None:
        """Open the memory screen, with the what-if on ``trial``."""
        self.push_screen(MemoryScreen(trial))

    def open_boards(self, trial: int | None) -> None:
        """Open the boards with the cursor on ``trial``."""
        self.push_screen(BoardsScreen(trial))

    def open_insight(self, trial: int | None) -> None:
        """Open the insight screen with the cursor on ``trial``."""
        self.push_screen(InsightScreen(trial))

    def open_devices(self) -> None:
        """Open the devices screen."""
        self.push_screen(DevicesScreen())

    def action_use_devices(self) -> None:
        """Give a device of the study back, or use another."""
        self.run_worker(DeviceUse(self).begin(), group="requests", exit_on_error=False)

    def open_samples(self, trial: int | None) -> None:
        """Open the samples screen on ``trial``."""
        self.push_screen(SamplesScreen(trial))

    def open_data(self, trial: int | None) -> None:
        """Open the data screen, with the mixture of ``trial``."""
        self.push_screen(DataScreen(trial))

    def show_study(self, name: str) -> None:
        """Display the study ``name`` from now on."""
        self._wanted = name
        self._drawn = (-1, 0.0)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield trimtab's commands and the theme command for the palette."""
        for key in list_commands():
            owner = screen if hasattr(screen, key.method) else self
            if hasattr(owner, key.method):
                run = partial(self.run_action, key.action, owner)
                yield SystemCommand(key.command, f"{key.meaning} ({key.spelt})", run)
        yield SystemCommand("Theme", "choose the colours", self.action_change_theme)


def describe_knobs(trial: s.Trial) -> str:
    """Return the trial's own knobs, one a line as in a study file, below what it is."""
    head = f"# trial {trial.number}: {trial.state}, step {trial.step} of {trial.total_steps}"
    return "\n".join([head, *(f"{name} = {json.dumps(value)}" for name, value in trial.params.items())])
