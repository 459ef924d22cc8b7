"""The base class of study screens: finds the study, sends requests, asks for confirmation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar, Protocol, cast

from rich.text import Text
from textual.screen import Screen

from core.contract.state import engine_state as s
from core.contract.views import act_consequences
from core.contract.wire import console_api
from tui.base import breadcrumbs
from tui.base.confirm_dialog import Confirm
from tui.base.key_bar import KeyBar
from tui.keys.key_definition import Group
from tui.theme_colors import Palette

FIRST_S = 1.0  # within which a screen is drawn


class Console(Protocol):
    """The interface of the app that screens use."""

    engine: Any
    now: Any
    place: str

    @property
    def study(self) -> s.Study | None: ...
    @property
    def others(self) -> int: ...
    @property
    def look(self) -> Palette: ...
    def say(self, text: str) -> None: ...
    def ask(self, request: console_api.AnyRequest) -> None: ...
    def open_memory(self, trial: int | None) -> None: ...
    def open_boards(self, trial: int | None) -> None: ...
    def open_insight(self, trial: int | None) -> None: ...
    def open_devices(self) -> None: ...
    def open_samples(self, trial: int | None) -> None: ...
    def open_data(self, trial: int | None) -> None: ...
    def show_trial(self, number: int) -> None: ...
    def show_study(self, name: str) -> None: ...
    def open_study(self, host: str, study: str) -> None: ...
    def action_studies(self) -> None: ...


class StudyScreen(Screen[None]):
    """A screen about the current study. ``draw`` draws the current state."""

    KEYS: ClassVar[tuple[Group, ...]] = ()  # the help shows them first
    BAR: ClassVar[tuple[str, ...]] = ()  # ids of keys in the footer's order; empty: those of the groups
    CRUMB = ""  # its name on the way that the title shows
    TOPIC = ""  # the page of the manual that the help ends with

    def __init__(self) -> None:
        super().__init__()
        self._first = asyncio.Event()

    @property
    def console(self) -> Console:
        """Return the app as the interface that screens use."""
        return cast(Console, self.app)

    @property
    def study(self) -> s.Study | None:
        """Return the displayed study."""
        return self.console.study

    @property
    def crumb(self) -> str:
        """Return the screen's name on the way that the title shows."""
        return self.CRUMB

    @property
    def root(self) -> str:
        """Return where the way begins: the host if it is another one, all studies, or nothing for the only
        one."""
        host: str = self.console.engine.host
        return host or ("studies" if self.console.others else "")

    def draw_breadcrumbs(self, alone: bool = False) -> Text:
        """Return the way to this screen, as much of it as two fifths of the width hold; ``alone`` it has the
        whole line."""
        below = [screen for screen in self.app.screen_stack if isinstance(screen, StudyScreen)]
        names = [screen.crumb for screen in below[: below.index(self) + 1 if self in below else None]]
        room = self.size.width - 2
        return breadcrumbs.draw(
            self.root, names, max(24, room if alone else room * 2 // 5), self.console.look
        )

    def show(self) -> None:
        """Draw the current state if the screen is mounted.

        Timers tick also while a screen is put together or taken down, when some of its widgets are missing.
        """
        stands = self.is_mounted and self.app.is_running and self in self.app.screen_stack
        if stands and self.size.width:
            self.draw()
            self.update_keys()
            self._first.set()

    async def wait_until_drawn(self) -> None:
        """Wait briefly until the screen has been drawn once; keys must act in any case."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), FIRST_S)

    def draw(self) -> None:
        """Draw the current state; all widgets are mounted."""
        raise NotImplementedError

    def update_keys(self) -> None:
        """Show the keys that matter for the selected trial."""
        for bar in self.query(KeyBar):
            bar.update_keys()

    def label_key(self, key_id: str, label: str) -> str:
        """Return what a key does now, in a word for the footer; empty where it would do nothing."""
        return label

    def find_selected_trial(self) -> s.Trial | None:
        """Return the trial that keys act on."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Draw as soon as sizes are known."""
        self.call_after_refresh(self.show)

    def on_resize(self) -> None:
        """Redraw, as the width decides what is shown."""
        self.call_after_refresh(self.show)

    def on_rewidened(self) -> None:
        """A sheet got its width only now."""
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        """Redraw when the screen is on top again, as the state may have changed."""
        self.call_after_refresh(self.show)

    def find_neighbour(self, number: int | None, by: int) -> int | None:
        """Return the number of the trial ``by`` places from ``number``, clamped at the ends."""
        numbers = sorted(self.study.trials) if self.study is not None else []
        place = numbers.index(number) + by if number in numbers else 0
        return numbers[place] if 0 <= place < len(numbers) else number

    def action_memory(self) -> None:
        """Open the memory screen."""
        trial = self.find_selected_trial()
        self.console.open_memory(trial.number if trial is not None else None)

    def action_boards(self) -> None:
        """Open the boards."""
        trial = self.find_selected_trial()
        self.console.open_boards(trial.number if trial is not None else None)

    def action_insight(self) -> None:
        """Open the insight screen."""
        trial = self.find_selected_trial()
        self.console.open_insight(trial.number if trial is not None else None)

    def action_devices(self) -> None:
        """Open the devices screen."""
        self.console.open_devices()

    def action_samples(self) -> None:
        """Open the samples screen."""
        trial = self.find_selected_trial()
        self.console.open_samples(trial.number if trial is not None else None)

    def action_data(self) -> None:
        """Open the data screen."""
        trial = self.find_selected_trial()
        self.console.open_data(trial.number if trial is not None else None)

    def action_pause(self) -> None:
        """Pause the trial, or resume it if it is paused."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        stands = trial.state == s.PAUSED or trial.asked == "pause"
        resume = stands and trial.asked != "resume"
        kind = console_api.ResumeTrial if resume else console_api.PauseTrial
        self.console.ask(kind(study.name, trial.number))

    def action_pause_all(self) -> None:
        """Pause the study and release its devices, or resume it."""
        study = self.study
        if study is None:
            return
        kind = console_api.ResumeStudy if study.state == "paused" else console_api.PauseStudy
        self.console.ask(kind(study.name))

    def action_prune(self) -> None:
        """Prune the trial after a confirmation."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        if trial.state in s.ENDED:
            self.console.say(f"trial {trial.number} is already {trial.state}")
            return
        detail = act_consequences.describe_prune(study, trial)
        request = console_api.PruneTrial(study.name, trial.number)
        self._ask_first(f"Prune trial {trial.number}?", detail, request)

    def action_stop_study(self) -> None:
        """Stop the study after a confirmation."""
        study = self.study
        if study is None:
            return
        if study.state not in ("running", "paused"):
            self.console.say(f"the study is already {study.state}")
            return
        name = study.name if act_consequences.is_losing_trials(study) else ""
        detail = act_consequences.describe_stop(study)
        self._ask_first(f"Stop the study {study.name}?", detail, console_api.StopStudy(study.name), name)

    def _ask_first(self, question: str, detail: str, request: console_api.AnyRequest, name: str = "") -> None:
        def ask_if_confirmed(yes: bool | None) -> None:
            if yes:
                self.console.ask(request)

        self.app.push_screen(Confirm(question, detail, name), ask_if_confirmed)
