"""A small engine for a real worker process: the protocol on a Unix socket, and a list of what was told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from core import paths
from core.contract.wire import message_codec, worker_api
from tests import zygote

DEADLINE_S = 120.0


class Engine:
    """Acknowledges what it hears unless ``deaf``; ``until`` waits for something to have been told."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.deaf = socket, False
        self.hellos: list[worker_api.Hello] = []
        self.told: dict[int, Any] = {}
        self.repeated: list[int] = []
        self.broken: worker_api.Broken | None = None
        self._line: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None
        self._news = asyncio.Condition()

    async def open(self) -> None:
        """Listen; again after ``close`` too."""
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.socket), shutdown_timeout=0.1).start()

    async def close(self) -> None:
        """Be gone, with the line cut."""
        if self._line is not None:
            await self._line.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def say(self, *messages: object) -> None:
        """Send to the worker, in order."""
        assert self._line is not None
        for message in messages:
            await self._line.send_bytes(message_codec.encode(message))

    async def until(self, found: Callable[[], Any]) -> Any:
        """What ``found`` gives once it gives something."""
        async with self._news, asyncio.timeout(DEADLINE_S):
            await self._news.wait_for(found)
        return found()

    async def first(self, kind: type, trial: int = 0, after: int = 0) -> Any:
        """The first event of a kind about the trial among those numbered above ``after``."""
        return await self.until(lambda: next(iter(self.of(kind, trial, after)), None))

    def of(self, kind: type, trial: int = 0, after: int = 0) -> list[Any]:
        """Events of a kind about the trial, in the order of their numbers."""
        chosen = [self.told[number] for number in sorted(self.told) if number > after]
        return [one for one in chosen if isinstance(one, kind) and getattr(one, "trial", trial) == trial]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        assert request.query["from"] == "worker"
        line = web.WebSocketResponse()
        await line.prepare(request)
        async for message in line:
            if message.type is WSMsgType.BINARY:
                await self._hear(line, message_codec.read_from_worker(message.data))
        return line

    async def _hear(self, line: web.WebSocketResponse, message: worker_api.FromWorker) -> None:
        async with self._news:
            match message:
                case worker_api.Hello():
                    self.hellos.append(message)
                    self._line = line
                case worker_api.Told(number, event):
                    self.repeated += [number] if number in self.told else []
                    self.told[number] = event
                case worker_api.Broken():
                    self.broken = message
            self._news.notify_all()
        if isinstance(message, worker_api.Told) and not self.deaf:
            await line.send_bytes(message_codec.encode(worker_api.Heard(message.number)))


async def start_worker(study: Path, socket: Path) -> asyncio.subprocess.Process:
    """The command that the engine runs, with its log beside the study."""
    environment = {**os.environ, "PYTHONPATH": str(paths.find_root()), worker_api.ENV_SOCKET: str(socket)}
    with (study / "worker.log").open("ab") as log:
        return await zygote.create_subprocess_exec(
            sys.executable, "-P", "-m", "core.train.commands.worker", str(study), "cpu-1", "cpu",
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
