"""What every screen of a study can do: find the study, ask the engine, ask the person first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol, cast

from textual.screen import Screen

from core.contract.state import study_state as s
from core.contract.wire import console_api
from tui.base.confirm_dialog import Confirm
from tui.theme_colors import Palette

FIRST_S = 1.0  # within which a screen is drawn


class Console(Protocol):
    """What a screen needs of the app."""

    engine: Any
    now: Any

    @property
    def study(self) -> s.Study | None: ...
    @property
    def others(self) -> int: ...
    @property
    def look(self) -> Palette: ...
    def say(self, text: str) -> None: ...
    def ask(self, request: console_api.AnyRequest) -> None: ...
    def choose_study(self) -> None: ...
    def open_memory(self, trial: int | None) -> None: ...
    def open_boards(self, trial: int | None) -> None: ...
    def open_insight(self, trial: int | None) -> None: ...


class StudyScreen(Screen[None]):
    """A screen about the app's current study. ``draw`` paints the state of the moment."""

    def __init__(self) -> None:
        super().__init__()
        self._first = asyncio.Event()

    @property
    def console(self) -> Console:
        """The app, as far as screens know it."""
        return cast(Console, self.app)

    @property
    def study(self) -> s.Study | None:
        """The study on the screen."""
        return self.console.study

    def show(self) -> None:
        """Draw the state as it is now, if the screen stands.

        Timers tick also while a screen is put together or taken down, when some of its widgets are missing.
        """
        stands = self.is_mounted and self.app.is_running and self in self.app.screen_stack
        if stands and self.size.width:
            self.draw()
            self._first.set()

    async def first_drawn(self) -> None:
        """Wait until it has been drawn once, but not for long: keys must act whatever happens."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), FIRST_S)

    def draw(self) -> None:
        """Draw the state as it is now; all widgets are there."""
        raise NotImplementedError

    def selected(self) -> s.Trial | None:
        """The trial that keys act on."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Draw as soon as sizes are known."""
        self.call_after_refresh(self.show)

    def on_resize(self) -> None:
        """Widths decide what is shown."""
        self.call_after_refresh(self.show)

    def on_rewidened(self) -> None:
        """A sheet got its width only now."""
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        """Back on top: the state may have moved on."""
        self.call_after_refresh(self.show)

    def beside(self, number: int | None, by: int) -> int | None:
        """The number of the trial ``by`` places from ``number``, as far as there is one."""
        numbers = sorted(self.study.trials) if self.study is not None else []
        place = numbers.index(number) + by if number in numbers else 0
        return numbers[place] if 0 <= place < len(numbers) else number

    def action_memory(self) -> None:
        """Who holds the memory, and what would fit."""
        trial = self.selected()
        self.console.open_memory(trial.number if trial is not None else None)

    def action_boards(self) -> None:
        """Is it better, and still safe?"""
        trial = self.selected()
        self.console.open_boards(trial.number if trial is not None else None)

    def action_insight(self) -> None:
        """What has the study shown so far?"""
        trial = self.selected()
        self.console.open_insight(trial.number if trial is not None else None)

    def action_pause(self) -> None:
        """Pause or resume, whichever makes sense."""
        study, trial = self.study, self.selected()
        if study is None or trial is None:
            return
        stands = trial.state == s.PAUSED or trial.asked == "pause"
        resume = stands and trial.asked != "resume"
        kind = console_api.ResumeTrial if resume else console_api.PauseTrial
        self.console.ask(kind(study.name, trial.number))

    def action_pause_all(self) -> None:
        """Give the devices back, or take them again."""
        study = self.study
        if study is None:
            return
        kind = console_api.ResumeStudy if study.state == "paused" else console_api.PauseStudy
        self.console.ask(kind(study.name))

    def action_prune(self) -> None:
        """End the trial, after a question."""
        study, trial = self.study, self.selected()
        if study is None or trial is None:
            return
        if trial.state in s.ENDED:
            self.console.say(f"trial {trial.number} is {trial.state} already")
            return
        lost = (
            f"It stands at step {trial.step} of {trial.total_steps}. Its adapter is not kept; its curves are."
        )
        self._ask_first(
            f"Prune trial {trial.number}?", lost, console_api.PruneTrial(study.name, trial.number)
        )

    def action_stop_study(self) -> None:
        """End the study, after a question."""
        study = self.study
        if study is None:
            return
        if study.state not in ("running", "paused"):
            self.console.say(f"the study is {study.state} already")
            return
        running = sum(1 for trial in study.trials.values() if trial.state in s.ON_WORKER)
        kept = f"{running} unfinished trials end; finished results, curves and adapters stay."
        self._ask_first(f"Stop the study {study.name}?", kept, console_api.StopStudy(study.name))

    def _ask_first(self, question: str, detail: str, request: console_api.AnyRequest) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.console.ask(request)

        self.app.push_screen(Confirm(question, detail), answered)
