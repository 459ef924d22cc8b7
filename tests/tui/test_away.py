"""Every screen opens and closes where the engine says nothing: it never was, or it has stopped."""

from __future__ import annotations

import asyncio

from tests.hostile import harm
from tests.tui.conftest import Seat
from tests.tui.scene import NOW, no_card, state_of, study_events
from tui.app import TrimtabApp

OPENERS = ("enter", "m", "b", "i", "V", "n", "E", "S", "question_mark", "ctrl+p")


async def walk(you: Seat) -> None:
    for key in OPENERS:
        await you.pilot.press(key)
        shown = you.screen()
        assert shown.strip() and not harm(shown), key
        await you.pilot.press("escape")


async def test_an_engine_that_never_was(tmp_path):
    app = TrimtabApp(tmp_path / "none.sock", None, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        you = Seat(app, pilot, None)
        await you.sees("engine away")
        await walk(you)


async def test_an_engine_that_has_stopped(seat):
    async with seat(state_of(study_events(), no_card())) as you:
        you.backend.held = asyncio.Event()  # from here on it answers nothing
        await walk(you)
        await you.press("j", "enter", "a")
        assert you.screen().strip()
