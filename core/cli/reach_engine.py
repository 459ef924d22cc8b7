"""Reaching an engine from a verb: the state it has, or what the journals say when none lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core import paths
from core.contract.state.study_state import State
from core.contract.wire import console_api


def known() -> tuple[State, bool]:
    """All that is known, and whether an engine lives. Starts nothing.

    Raises EngineError for an engine that does not answer, or a home folder that is not this user's.
    """
    socket = paths.socket_path()
    if paths.check_home() and socket.exists():
        from core.contract.wire import engine_client
        from core.contract.wire.local_socket import AbsentError

        try:
            return asyncio.run(engine_client.fetch_state(socket)), True
        except AbsentError:
            pass  # a socket that an engine left behind
    from core.cli import offline_state

    return offline_state.state(), False


def ensured() -> Path:
    """The socket of an engine that lives, started when there was none. Raises EngineError."""
    from core.cli import activity_line
    from core.daemon.server import engine_launch

    activity_line.now("starting the engine")
    return engine_launch.ensure()


def ask(request: console_api.AnyRequest, socket: Path | None = None) -> console_api.Answer | None:
    """Have the engine do something; its answer if any. Raises RefusedError, or EngineError without one."""
    from core.contract.wire import engine_client

    return asyncio.run(engine_client.request(socket or paths.socket_path(), request))
