"""An engine that answers from a script, on a real Unix socket in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from core.contract.state.engine_state import State
from core.contract.wire import console_api, message_codec


class ScriptedEngine:
    """Serves ``state``; a console that attaches gets the snapshot, then ``events``, and then nothing
    more (or the connection's end, with ``leaves``). Every request is kept in ``asked``."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.state = State()
        self.events: list[Any] = []
        self.leaves = False
        self.asked: list[Any] = []
        self.reply: Callable[[Any], console_api.Reply] = lambda request: console_api.Reply(0, True)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedEngine:
        self._thread.start()
        assert self._ready.wait(20.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        application = web.Application()
        application.router.add_get("/health", self._health)
        application.router.add_get("/state", self._state)
        application.router.add_post("/request", self._request)
        application.router.add_get("/ws", self._attach)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.socket)).start()
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"ok": True, "pid": os.getpid(), "protocol": console_api.PROTOCOL})

    async def _state(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.state), content_type="application/json")

    async def _request(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=console_api.AnyRequest)
        self.asked.append(asked)
        return web.Response(body=msgspec.json.encode(self.reply(asked)))

    async def _attach(self, request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse()
        await line.prepare(request)
        await line.send_bytes(
            message_codec.encode(console_api.Welcome(console_api.PROTOCOL, os.getpid(), "test"))
        )
        await line.send_bytes(message_codec.encode(console_api.Snapshot(0, self.state)))
        for number, event in enumerate(self.events, 1):
            await line.send_bytes(message_codec.encode(console_api.Changed(number, (event,))))
        if not self.leaves:
            async for _ in line:
                pass
        await line.close()
        return line
