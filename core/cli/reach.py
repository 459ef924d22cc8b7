"""Reaching an engine from a verb: the state it has, or what the journals say when none lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core import paths
from core.contract import wire
from core.contract.state import State
from core.errors import EngineError


def known() -> tuple[State, bool]:
    """All that is known, and whether an engine lives. Starts nothing."""
    socket = paths.socket_path()
    if socket.exists():
        from core.contract import client

        try:
            return asyncio.run(client.fetch_state(socket)), True
        except EngineError:
            pass  # a socket that an engine left behind
    from core.cli import offline

    return offline.state(), False


def ensured() -> Path:
    """The socket of an engine that lives, started when there was none. Raises EngineError."""
    from core.cli import activity
    from core.daemon import launch

    activity.now("starting the engine")
    return launch.ensure()


def ask(request: wire.AnyRequest, socket: Path | None = None) -> wire.Answer | None:
    """Have the engine do something; its answer if any. Raises RefusedError, or EngineError without one."""
    from core.contract import client

    return asyncio.run(client.request(socket or paths.socket_path(), request))
