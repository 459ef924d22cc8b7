"""The console: holds the line to the engine and the study on the screen, and draws at a calm pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App, SystemCommand
from textual.screen import Screen

from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.wire import console_api
from core.errors import TrimtabError
from tui import terminal_restore
from tui.base.base_screen import StudyScreen
from tui.base.help_screen import Help
from tui.boards.boards_screen import BoardsScreen
from tui.engine_connection import Engine
from tui.insight.insight_screen import InsightScreen
from tui.key_bindings import ALWAYS, bindings
from tui.memory.memory_screen import MemoryScreen
from tui.steering.steering_actions import SteeringScreen
from tui.study.study_picker import Studies
from tui.study.study_screen import AllTrials
from tui.theme_colors import DEFAULT, Palette, themes

PACE_S = 0.2  # at most five pictures a second, however much happens
CLOCK_S = 1.0  # elapsed times move on though nothing happens


class TrimtabApp(App[None]):
    """``trimtab`` on the screen. ``clock`` gives Unix seconds; tests stop it."""

    TITLE = "trimtab"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = bindings(ALWAYS)

    def __init__(
        self, socket: Path, study: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self.engine = Engine(socket, self._draw)
        self.clock = clock
        self._now = clock()
        self._wanted = study
        self._drawn = (-1, 0.0)
        self._palette: tuple[str, Palette] | None = None
        self.broken = False  # it ended by an error
        found, self._faults = themes()
        for theme in found:
            self.register_theme(theme)
        if DEFAULT in self.available_themes:  # else Textual's own
            self.theme = DEFAULT

    # -- what screens need ------------------------------------------------------------------------

    @property
    def study(self) -> s.Study | None:
        """The study on the screen: the chosen one, else a live one, else the newest."""
        studies = self.engine.state.studies
        if self._wanted in studies:
            return studies[self._wanted]
        live = [one for one in studies.values() if one.state in s.LIVE_STUDY]
        return live[-1] if live else next(reversed(studies.values()), None)

    @property
    def others(self) -> int:
        """How many studies there are beside the one on the screen."""
        return max(0, len(self.engine.state.studies) - 1)

    def now(self) -> float:
        """The time of the picture: it stands still while the engine says nothing."""
        if not self.engine.away:
            self._now = self.clock()
        return self._now

    @property
    def look(self) -> Palette:
        """The colours of the theme in use."""
        if self._palette is None or self._palette[0] != self.theme:
            self._palette = (self.theme, Palette(self.get_css_variables()))
        return self._palette[1]

    def say(self, text: str) -> None:
        """A short word at the side."""
        self.notify(plain(text, 300), timeout=3, markup=False)

    def ask(self, request: console_api.AnyRequest) -> None:
        """Send a request; a refusal is shown with its reason. The screen changes when the event comes."""
        self.run_worker(self._ask(request), group="requests", exit_on_error=False)

    async def _ask(self, request: console_api.AnyRequest) -> None:
        try:
            await self.engine.ask(request)
        except TrimtabError as error:
            for problem in error.problems:
                title = plain(problem.where, 60) or "refused"
                text = plain(problem.what, 200) + (f"\n→ {plain(problem.fix, 200)}" if problem.fix else "")
                self.notify(text, title=title, severity="warning", timeout=6, markup=False)

    # -- life -------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint first, then attach."""
        self.push_screen(AllTrials())
        if not self.is_headless:
            terminal_restore.resume_in_order(self._driver)
        self.call_after_refresh(self._follow)
        self.set_interval(PACE_S, self._draw)
        for fault in self._faults:
            self.say(fault)

    async def on_event(self, event: events.Event) -> None:
        """A key that is typed ahead of a screen waits until that is drawn, and acts on its rows."""
        if isinstance(event, events.Key) and not event.is_forwarded and isinstance(self.screen, StudyScreen):
            await self.screen.first_drawn()
        await super().on_event(event)

    def _follow(self) -> None:
        self.run_worker(self.engine.follow(), group="engine", exit_on_error=True)

    def _draw(self) -> None:
        """Draw when something changed, and once a second for the clocks of a live study."""
        version, at = self._drawn
        now = time.monotonic()
        alive = self.study is not None and self.study.state in s.LIVE_STUDY
        if self.engine.version == version and not (alive and now - at >= CLOCK_S):
            return
        self._drawn = (self.engine.version, now)
        for screen in self.screen_stack:
            if isinstance(screen, StudyScreen) and (screen is self.screen or self.screen.is_modal):
                screen.show()

    def watch_theme(self) -> None:
        """Everything is drawn again in the new colours."""
        self._palette = None
        self._drawn = (-1, 0.0)

    # -- keys and commands ------------------------------------------------------------------------

    def action_help(self) -> None:
        """All keys, those of the screen first."""
        self.push_screen(Help(self.look, type(self.screen).__name__))

    def action_detach(self) -> None:
        """Leave; the study goes on."""
        self.exit()

    def action_suspend_process(self) -> None:
        """Back to the shell, with the terminal as it was; `fg` comes back."""
        if not terminal_restore.can_be_resumed():
            self.say("there is no shell behind the console that could bring it back; q detaches")
            return
        self.app_suspend_signal.publish(self)
        terminal_restore.suspend()

    def leave(self, code: int) -> bool:
        """Leave in order with this exit code, from a signal's handler; False where nothing is drawn."""
        if not self.is_running or self._loop is None:
            return False
        self._loop.call_soon_threadsafe(self.exit, None, code)
        return True

    def _print_error_renderables(self) -> None:
        """What Textual would print of an error: it is raised by ``run`` instead, and told in words."""
        self.broken = self.broken or bool(self._exit_renderables)
        self._exit_renderables.clear()

    def open_memory(self, trial: int | None) -> None:
        """Who holds the memory, and what ``trial`` would take if it were otherwise."""
        self.push_screen(MemoryScreen(trial))

    def open_boards(self, trial: int | None) -> None:
        """What all trials score, the cursor on ``trial``."""
        self.push_screen(BoardsScreen(trial))

    def open_insight(self, trial: int | None) -> None:
        """What the study has shown so far, the cursor on ``trial``."""
        self.push_screen(InsightScreen(trial))

    def choose_study(self) -> None:
        """Offer the engine's studies."""

        def chosen(name: str | None) -> None:
            if name:
                self._wanted = name
                self._drawn = (-1, 0.0)

        if self.engine.state.studies:
            self.push_screen(Studies(self.engine.state.studies), chosen)
        else:
            self.say("there is no study yet")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """trimtab's own commands, and the themes."""
        if isinstance(screen, StudyScreen):
            yield SystemCommand("Pause or resume", "the selected trial (p)", screen.action_pause)
            yield SystemCommand("Pause all, or go on", "give the GPU back (P)", screen.action_pause_all)
            yield SystemCommand("Prune", "end the selected trial (x)", screen.action_prune)
            yield SystemCommand("Memory", "who holds it, and what would fit (m)", screen.action_memory)
            yield SystemCommand("Boards", "quality, safety and security (b)", screen.action_boards)
            yield SystemCommand("Insight", "history, importance, front, rungs (i)", screen.action_insight)
            yield SystemCommand("Stop the study", "its results stay (s)", screen.action_stop_study)
        if isinstance(screen, SteeringScreen):
            yield from screen.commands()
        yield SystemCommand("Choose a study", "of this engine (S)", self.choose_study)
        yield SystemCommand("Theme", "choose the colours", self.action_change_theme)
        yield SystemCommand("Help", "all keys (?)", self.action_help)
        yield SystemCommand("Detach", "leave; the study goes on (q)", self.action_detach)


def run(socket: Path, study: str | None) -> int:
    """Open the console on the engine at ``socket``; returns the exit code."""
    app = TrimtabApp(socket, study)
    terminal_restore.leave_with_it()
    terminal_restore.leave_by_signal(app.leave)
    app.run()
    if app._exception is not None:
        raise app._exception
    if app.broken:
        raise TrimtabError.of(
            "the console cannot read from the terminal any more", "standard input", "open it again: `trimtab`"
        )
    left = app.study
    if left is not None and left.state in s.LIVE_STUDY:
        print("detached — the study goes on; come back with `trimtab`")
    elif left is not None:
        print(f"the study {left.name} is {left.state}; `trimtab best` names the best trial")
    return app.return_code or 0
