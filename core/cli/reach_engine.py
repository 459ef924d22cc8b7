"""Connects commands to the engine; if none runs, the state is read from the journals."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core import paths
from core.contract.state.engine_state import State
from core.contract.wire import console_api


def read_state() -> tuple[State, bool]:
    """Return the current state and whether an engine runs. Starts nothing.

    Raises EngineError for an engine that does not answer, or a home folder of another user.
    """
    socket = paths.socket_path()
    if paths.check_home() and socket.exists():
        from core.contract.wire import engine_client
        from core.contract.wire.local_socket import AbsentError

        try:
            return asyncio.run(engine_client.fetch_state(socket)), True
        except AbsentError:
            pass  # a socket that an engine left behind
    return read_journals(), False


def read_journals() -> State:
    """Return the state as the studies' journals tell it. Nothing is started, locked or changed."""
    from core.store import journal_file, run_folder
    from core.store.journal_replay import replay_all, select_study

    return replay_all(
        select_study(folder.name, journal_file.read(run_folder.journal_path(folder)))
        for folder in run_folder.list_studies()
    )


def ensure_engine() -> Path:
    """Return the socket of a running engine; start one if needed. Raises EngineError."""
    from core.cli import activity_line
    from core.daemon.server import engine_launch

    activity_line.set_activity("starting the engine")
    return engine_launch.ensure_running()


def ask(request: console_api.AnyRequest, socket: Path | None = None) -> console_api.Answer | None:
    """Send a request to the engine and return its answer, if any. Raises RefusedError or EngineError."""
    from core.contract.wire import engine_client

    return asyncio.run(engine_client.request(socket or paths.socket_path(), request))
