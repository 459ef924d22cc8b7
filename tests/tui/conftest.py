"""The console against a small real engine: the engine's own hub and server's protocol on a Unix socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import textual._wait
from aiohttp import WSMsgType, web
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.app import App
from textual.screen import Screen
from textual.strip import Strip

import tui.app
from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec
from core.daemon.console_broadcast import Hub
from tests.tui import quick_pilot
from tests.tui.scene import NOW
from tui.app import TrimtabApp
from tui.study_table import queue_fit_query
from tui.terminal import frame_pacing

DEADLINE_S = 60.0
FRAMES_PER_S = 100.0
render_update = Compositor.render_update


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """The console and Textual's pilot look more often: tests wait for what they see, and half of their time
    was such waits."""
    monkeypatch.setattr(tui.app, "PACE_S", 0.04)
    monkeypatch.setattr(queue_fit_query, "ASK_EVERY_S", None)  # tests compare all that is asked
    monkeypatch.setattr(frame_pacing, "WATCHED_S", 0.0)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    monkeypatch.setattr(frame_pacing, "LONGEST_S", 0.0)
    monkeypatch.setattr(textual._wait, "SLEEP_GRANULARITY", 0.005)
    monkeypatch.setattr(textual._wait, "SLEEP_IDLE", 0.0005)
    monkeypatch.setattr(Compositor, "render_update", draw_whole_frames_alone)
    quick_pilot.use(monkeypatch)


def draw_whole_frames_alone(
    compositor: Compositor, full: bool = False, screen_stack: Sequence[Screen] | None = None, **options: Any
) -> Any:
    """Take part in Textual's updates without drawing: the driver of a pilot throws frames away, and they took
    a third of the time. A screenshot asks for a whole frame; ``Seat.screen`` draws when a test looks."""
    if full:
        return render_update(compositor, full, list(screen_stack or ()), **options)
    visible_screen_stack.set(list(screen_stack or ()))
    compositor._dirty_regions.clear()
    return None


def strips_of(app: App[Any]) -> list[Strip]:
    """What stands on the screen, drawn now; a dialog with the screen below it."""
    visible_screen_stack.set(app._background_screens)
    return app.screen._compositor.render_strips()


class Backend:
    """Serves a state, takes events, notes what is asked and answers with ``refusal`` when there is one."""

    def __init__(self, socket: Path, state: State) -> None:
        self.socket, self.state = socket, state
        self.hub = Hub()
        self.hub.publish(state, ())
        self.asked: list[console_api.AnyRequest] = []
        self.refusal: console_api.Reply | None = None
        self.answers: Callable[[console_api.AnyRequest], console_api.Answer | None] = lambda request: None
        self.held: asyncio.Event | None = None  # answers wait for it where there is one
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def open(self) -> None:
        await self.runner.setup()
        await web.UnixSite(self.runner, str(self.socket)).start()

    def happen(self, *events: e.Event) -> None:
        for event in events:
            self.state = apply(self.state, event)
        self.hub.publish(self.state, events)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_bytes(message_codec.encode(console_api.Welcome(console_api.PROTOCOL, 1, "test")))
        feed = asyncio.create_task(self.hub.serve(socket.send_bytes))
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    ask = message_codec.read_from_console(message.data)
                    self.asked.append(ask.request)
                    reply = self.refusal or console_api.Reply(ask.id, True)
                    answer = self.answers(ask.request)
                    reply = console_api.Reply(ask.id, reply.ok, reply.what, reply.where, reply.fix, answer)
                    if self.held is not None:
                        await self.held.wait()
                    await socket.send_bytes(message_codec.encode(reply))
        finally:
            feed.cancel()
        return socket


class Seat:
    """Somebody before the console."""

    def __init__(self, app: TrimtabApp, pilot, backend: Backend) -> None:
        self.app, self.pilot, self.backend = app, pilot, backend

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, true: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < deadline, f"in vain: {what}\n{self.screen()}"
            await self.pilot.pause(0.02)

    def up_to_date(self) -> bool:
        """Is all that the engine has sent drawn?"""
        return self.app.engine.attached and self.app._drawn[0] == self.app.engine.version

    async def sees(self, *words: str) -> None:
        def shown() -> bool:
            text = self.screen()
            return all(word in text for word in words)

        await self.until(shown, f"to see {words}")

    def screen(self) -> str:
        """What stands on the screen, as text."""
        lines = strips_of(self.app)
        return "\n".join("".join(segment.text for segment in strip) for strip in lines)


@pytest.fixture
def seat(tmp_path):
    """``async with seat(state, (80, 24)) as you: …``"""

    @asynccontextmanager
    async def sit(state: State, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Seat]:
        backend = Backend(tmp_path / "e.sock", state)
        await backend.open()
        app = TrimtabApp(backend.socket, None, clock=lambda: NOW, rate=FRAMES_PER_S)
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                you = Seat(app, pilot, backend)
                await you.until(you.up_to_date, "the engine's state to be drawn")
                await pilot.pause()
                yield you
        finally:
            await backend.runner.cleanup()

    return sit


Sit = Callable[..., Awaitable[Seat]]
