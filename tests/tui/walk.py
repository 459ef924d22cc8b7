"""A console in a process of its own that walks through all its screens, then leaves by ``q``."""

from __future__ import annotations

import sys
import time
from typing import Any

from textual.pilot import Pilot

from tui import app, entry_point

DEADLINE_S = 30.0
SEEN = "screens: "  # what is printed before their names
WALK = (  # a key, and the screen that it leads to
    ("g", "AllTrials"), ("enter", "DetailScreen"), ("a", "InsidesScreen"), ("r", "InsidesScreen"),
    ("escape", "DetailScreen"), ("x", "Confirm"), ("n", "DetailScreen"), ("escape", "AllTrials"),
    ("m", "MemoryScreen"), ("right", "MemoryScreen"), ("escape", "AllTrials"),
    ("b", "BoardsScreen"), ("down", "BoardsScreen"), ("enter", "EvidenceScreen"), ("escape", "BoardsScreen"),
    ("K", "ReportCardScreen"), ("escape", "BoardsScreen"),
    ("escape", "AllTrials"), ("i", "InsightScreen"), *(("tab", "InsightScreen"),) * 6,
    ("escape", "AllTrials"), ("d", "DevicesScreen"), ("t", "DevicesScreen"), ("Y", "DeviceUseDialog"),
    ("escape", "DevicesScreen"), ("escape", "AllTrials"),
    ("8", "EventsScreen"), ("k", "EventsScreen"), ("escape", "AllTrials"),
    ("9", "LogsScreen"), ("tab", "LogsScreen"), ("escape", "AllTrials"),
    ("T", "SamplesScreen"), ("F", "SamplesScreen"), ("r", "SamplesScreen"), ("tab", "SamplesScreen"),
    ("escape", "AllTrials"),
    ("J", "DataScreen"), ("enter", "RowsScreen"), ("j", "RowsScreen"), ("escape", "DataScreen"),
    ("escape", "AllTrials"),
    ("V", "CompareScreen"), ("t", "CompareScreen"), ("escape", "AllTrials"),
    ("n", "FormScreen"), ("enter", None), ("escape", "AllTrials"), ("e", None), ("escape", "AllTrials"),
    ("N", "FormScreen"), ("escape", "AllTrials"), ("asterisk", "AllTrials"), ("D", "Pin"),
    ("escape", "AllTrials"), ("E", "ChangeScreen"), ("escape", "AllTrials"), ("S", "StudiesScreen"),
    ("escape", "AllTrials"), ("colon", "CommandScreen"), ("escape", "AllTrials"),
    ("question_mark", "Help"), ("escape", "AllTrials"), ("at", "MessagesScreen"), ("escape", "AllTrials"),
    ("ctrl+s", "SaveDialog"), ("escape", "AllTrials"),
    ("C", "ColumnDialog"), ("escape", "AllTrials"),
    ("ctrl+p", "CommandPalette"), ("escape", "AllTrials"),
)  # fmt: skip


class Walking(app.TrimtabApp):
    """Its own person."""

    def run(self, **_: Any) -> None:
        self.visited: list[str] = []
        try:
            super().run(auto_pilot=self.walk)
        finally:
            print(SEEN + " ".join(self.visited))

    async def walk(self, pilot: Pilot) -> None:
        await self.until(pilot, lambda: self.engine.attached and self._drawn[0] == self.engine.version)
        for key, name in WALK:
            await pilot.press(key)
            await self.until(pilot, lambda name=name: name in (None, type(self.screen).__name__))
            await pilot.pause()
            self.visited.append(type(self.screen).__name__)
        await pilot.press("q")

    async def until(self, pilot: Pilot, true: Any) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.visited} and then {self.screen}")
            await pilot.pause(0.02)


if __name__ == "__main__":
    app.TrimtabApp = Walking  # type: ignore[misc]
    sys.exit(entry_point.main())
