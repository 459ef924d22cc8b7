"""The engine answers a ping whatever it is doing: at work on a long request it is not called silent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from core import paths
from core.contract.wire import console_api, engine_client
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.server.socket_server import Server


async def test_a_long_request_is_waited_for_and_the_engine_not_called_silent(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(engine_client, "TICK_S", 0.05)
    monkeypatch.setattr(engine_client, "SILENT_S", 0.25)
    told: list[str] = []

    async def handle(request: console_api.AnyRequest) -> None:
        await asyncio.sleep(0.8)

    hub, telling = Hub(), Any
    server = Server(EventCommitter(hub), hub, telling, handle, "test")  # type: ignore[arg-type]
    socket = paths.socket_path(paths.make_private(tmp_path / "home"))
    await server.open(socket)
    connection = await engine_client.attach(socket, told.append)
    reading = asyncio.ensure_future(_all(connection))
    try:
        assert await connection.ask(console_api.StopEngine()) is None
        assert told == []
    finally:
        reading.cancel()
        await connection.close()
        await server.close()


async def _all(connection: engine_client.Connection) -> None:
    async for _ in connection.receive_messages():
        pass
