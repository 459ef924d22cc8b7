"""Reaching an engine from a verb: the state it has, or what the journals say when none lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core import paths
from core.contract import wire
from core.contract.state import State


def known() -> tuple[State, bool]:
    """All that is known, and whether an engine lives. Starts nothing.

    Raises EngineError for an engine that does not answer, or a home folder that is not this user's.
    """
    socket = paths.socket_path()
    if paths.refuse_strange_home() and socket.exists():
        from core.contract import client
        from core.contract.localsocket import AbsentError

        try:
            return asyncio.run(client.fetch_state(socket)), True
        except AbsentError:
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
