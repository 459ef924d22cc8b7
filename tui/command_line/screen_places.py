"""The screens that have a name: by number, by name, and back to the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.await_complete import AwaitComplete
from textual.screen import Screen

from core.contract.state import engine_state as s
from core.contract.views import trial_comparison
from tui.base.base_screen import StudyScreen
from tui.base.messages_screen import MessagesScreen
from tui.boards.boards_screen import BoardsScreen
from tui.compare.compare_screen import CompareScreen
from tui.data.data_screen import DataScreen
from tui.devices.devices_screen import DevicesScreen
from tui.events.events_screen import EventsScreen
from tui.insight.insight_screen import InsightScreen
from tui.logs.logs_screen import LogsScreen
from tui.memory.memory_screen import MemoryScreen
from tui.samples.samples_screen import SamplesScreen
from tui.study.studies_screen import StudiesScreen
from tui.study.study_screen import AllTrials
from tui.theme_colors import Palette
from tui.trial.trial_screen import DetailScreen
from tui.widgets.lasting_toast import NotifyingApp

KINDS_OF_SCREEN: dict[str, type[Screen[Any]]] = {
    "trial": DetailScreen,
    "boards": BoardsScreen,
    "memory": MemoryScreen,
    "insight": InsightScreen,
    "compare": CompareScreen,
    "devices": DevicesScreen,
    "events": EventsScreen,
    "logs": LogsScreen,
    "samples": SamplesScreen,
    "data": DataScreen,
    "studies": StudiesScreen,
}


class ScreenPlaces(NotifyingApp):
    """An app whose lowest study screen shows all trials; the others are opened above it."""

    _left: tuple[str, int | None] = ("trials", None)  # the place before, and its trial

    @property
    def study(self) -> s.Study | None:
        """Return the displayed study."""
        raise NotImplementedError

    @property
    def look(self) -> Palette:
        """Return the colours of the current theme."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Show a short notification."""
        raise NotImplementedError

    def _make_studies(self) -> Screen[Any] | None:
        raise NotImplementedError

    @property
    def places(self) -> dict[str, Callable[[int | None], Screen[Any] | None]]:
        """Return the screens by name, each made for the selected trial; None where it cannot be shown now."""
        return {
            "trials": lambda trial: None,
            "trial": lambda trial: None if trial is None else DetailScreen(trial),
            "boards": BoardsScreen,
            "memory": MemoryScreen,
            "insight": InsightScreen,
            "compare": self._make_comparison,
            "devices": lambda trial: DevicesScreen(),
            "events": lambda trial: EventsScreen(),
            "logs": lambda trial: LogsScreen(),
            "samples": SamplesScreen,
            "data": DataScreen,
            "studies": lambda trial: self._make_studies(),
        }

    def go(self, place: str) -> None:
        """Open the screen ``place`` on the selected trial, above the screen of all trials."""
        trial = self.find_selected_trial()
        screen = self.places[place](trial)
        if screen is None and place != "trials":
            self.say(f"{place}: there is nothing to show yet")
            return
        present_place = self._find_uppermost()
        self._return_to_trials()
        if screen is not None:
            self.push_screen(screen)
        self._left = present_place

    def push_screen(self, screen: Any, *arguments: Any, **options: Any) -> Any:
        """Remember the place that is covered by another one, so that a key leads back to it."""
        if isinstance(screen, StudyScreen) and _place_of(screen):
            self._left = self._find_uppermost()
        return super().push_screen(screen, *arguments, **options)

    def pop_screen(self) -> AwaitComplete:
        """Remember the place that is left."""
        if _place_of(self.screen):
            self._left = self._find_uppermost()
        return super().pop_screen()

    def action_last(self) -> None:
        """Open the place before; from there the key leads back here."""
        place, number = self._left
        present_place = self._find_uppermost()
        self._return_to_trials()
        if place != "trials" and (screen := self.places[place](number)) is not None:
            self.push_screen(screen)
        self._left = present_place

    def _find_uppermost(self) -> tuple[str, int | None]:
        """The uppermost place, and its trial; a screen without a name belongs to the place below it."""
        names = map(_place_of, reversed(self.screen_stack))
        return next(filter(None, names), "trials"), self.find_selected_trial()

    def action_go(self, place: str) -> None:
        """Open a screen by its digit."""
        self.go(place)

    def open_trial(self, number: int) -> None:
        """Open the trial ``number``."""
        study = self.study
        if study is None or number not in study.trials:
            self.say(f"there is no trial {number}")
            return
        present_place = self._find_uppermost()
        self._return_to_trials()
        self.push_screen(DetailScreen(number))
        self._left = present_place

    def show_trial(self, number: int) -> None:
        """Open the trial above the present screen, to which Esc leads back."""
        self.push_screen(DetailScreen(number))

    def find_selected_trial(self) -> int | None:
        """Return the number of the trial that the uppermost study screen acts on."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, StudyScreen) and (trial := screen.find_selected_trial()) is not None:
                return trial.number
        return None

    def action_messages(self) -> None:
        """Show the messages that have gone."""
        if not isinstance(self.screen, MessagesScreen):
            self.push_screen(MessagesScreen(self.messages, self.look))

    def _find_trials_screen(self) -> AllTrials:
        return next(screen for screen in self.screen_stack if isinstance(screen, AllTrials))

    def _return_to_trials(self) -> None:
        lowest = self._find_trials_screen()
        while self.screen is not lowest:
            self.pop_screen()

    def _make_comparison(self, trial: int | None) -> CompareScreen | None:
        study = self.study
        marks = self._find_trials_screen().choice.marks
        chosen = trial_comparison.choose_trials(study, marks, trial) if study is not None else ()
        return CompareScreen(chosen) if len(chosen) > 1 else None


def _place_of(screen: Screen[Any]) -> str:
    """Return the place that a screen is, empty for one that no digit or name leads to."""
    return next((place for place, kind in KINDS_OF_SCREEN.items() if type(screen) is kind), "")
