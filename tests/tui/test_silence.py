"""An engine that stands still: the console says so within three seconds, keeps the picture, and goes on."""

from __future__ import annotations

import asyncio

from core.contract.wire import engine_client
from tests.tui.scene import NOW, four_cards, state_of, study_events
from tui.engine_connection import ATTACH_S


def test_the_word_comes_within_three_seconds():
    assert (engine_client.SOON_TICKS + 1) * engine_client.TICK_S < 3.0 and ATTACH_S < 3.0


async def test_an_engine_that_stands_still_is_named_and_the_clocks_stand(seat, monkeypatch):
    monkeypatch.setattr(engine_client, "TICK_S", 0.05)
    async with seat(state_of(four_cards(), study_events()), (140, 40)) as you:
        clock = [NOW]
        you.app.clock = lambda: clock[0]
        you.backend.held = asyncio.Event()
        await you.press("P")  # and from now on it reads nothing
        await you.sees("the engine (process", "does not answer: nothing came from it", "tidy-7b")
        clock[0] += 3600.0
        assert you.app.now() == NOW
        you.backend.held.set()
        await you.until(lambda: not you.app.engine.away, "the engine to be heard again")
        assert you.app.now() == NOW + 3600.0
