"""The console's connection to the engine: holds the latest state, sends requests, reconnects by itself."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contract.events.event_types import Event
from core.contract.hosts.daemon_thread import run_in_daemon_thread
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.contract.wire import console_api
from core.errors import EngineError, RefusedError, TrimtabError

if TYPE_CHECKING:  # it loads what only a console of another host needs
    from core.contract.hosts.ssh_tunnel import Tunnel

RETRY_S = 1.0
OF_THIS_HOST = (console_api.StartStudy,)  # requests that carry paths or variables of the console's own shell
ATTACH_S = 2.5  # an engine that does not accept the connection within it is reported as silent


class Engine:
    """``state`` is the engine's last state; ``version`` counts changes; ``away`` says why the engine is
    away or silent, empty while it answers."""

    def __init__(
        self,
        socket: Path,
        arrived: Callable[[], None] = lambda: None,
        happened: Callable[[Sequence[Event]], None] = lambda events: None,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.socket = socket
        self.home = socket.parent  # the engine's home folder, where it runs on this host
        self._happened = happened  # called with each event that comes while attached
        self._arrived = arrived  # called when a complete snapshot has arrived
        self.state = State()
        self.pid = 0  # of the engine's process
        self.tunnel = tunnel  # to the host on which the engine runs; None: this one
        self.read_only = False  # requests that change something are refused
        self.version = 0
        self.attached = False  # a snapshot has arrived at least once
        self.away = ""
        self._connection: Any = None

    @property
    def host(self) -> str:
        """Return the name of the host on which the engine runs; empty for this one."""
        return self.tunnel.host.name if self.tunnel is not None else ""

    async def follow(self) -> None:
        """Connect, and reconnect whenever the connection breaks, until cancelled."""
        # aiohttp takes 0.3 s to import: in a thread, after the first paint
        client = await asyncio.to_thread(importlib.import_module, "core.contract.wire.engine_client")
        while True:
            try:
                await self._follow_once(client)
                why = "the connection was lost"
            except TrimtabError as error:
                why = error.problems[0].what
            except (OSError, ValueError) as error:
                why = str(error) or type(error).__name__
            self._connection = None
            self._say(f"engine away — retrying ({why})")
            await asyncio.sleep(RETRY_S)

    async def _follow_once(self, client: Any) -> None:
        if self.tunnel is not None:
            await run_in_daemon_thread(self.tunnel.ensure)
        connection = await client.attach(self.socket, self._say, ATTACH_S, self.read_only)
        try:
            self._connection = connection
            async for message in connection.receive_messages():
                self._take(message)
        finally:
            await connection.close()

    def _say(self, why: str) -> None:
        """Set the reason why the state is no longer updated."""
        self.away = self.tunnel.reword(why) if self.tunnel is not None else why
        self.version += 1

    def _take(self, message: console_api.Welcome | console_api.Snapshot | console_api.Changed) -> None:
        if isinstance(message, console_api.Welcome):
            self.pid = message.pid
        elif isinstance(message, console_api.Snapshot):
            self.state, self.attached = message.state, True
        elif isinstance(message, console_api.Changed):
            state = self.state
            for event in message.events:
                state = apply(state, event)
            self.state = state
            self._happened(message.events)
        self.away = ""
        self.version += 1
        if isinstance(message, console_api.Snapshot):
            self._arrived()

    async def ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        """Send a request to the engine and return its answer, if any.

        Raises RefusedError with its reason, EngineError when it is away.
        """
        if self.read_only and not isinstance(request, console_api.READING):
            raise RefusedError.of(
                "this console only reads", "--read-only", "open one without it, or use `trimtab` commands"
            )
        if self.tunnel is not None and isinstance(request, OF_THIS_HOST):
            raise RefusedError.of(
                "a study is started on the host that trains it: its file, paths and variables are there",
                self.host,
                f"ssh {self.tunnel.host.address} {self.tunnel.host.make_remote_command('run', 'SPEC')}",
            )
        if self._connection is None:
            raise EngineError.of("the engine is away", "console", "wait until it is back, or check its log")
        result: console_api.Answer | None = await self._connection.ask(request)
        return result
