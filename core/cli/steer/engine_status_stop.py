"""``trimtab engine status | stop | socket``: shows or stops the engine, or says where it is reached.

``socket`` prints one line of JSON, for consoles on other hosts: {"protocol", "version", "running", "socket",
"user", "host", "studies": [a ``StudyState`` each]}.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import msgspec

from core import paths
from core.cli import activity_line, exit_codes, reach_engine
from core.cli.main import read_version
from core.contract.hosts.ssh_commands import Remote
from core.contract.hosts.study_summary import summarize
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.contract.wire.engine_health_check import read_health
from core.contract.wire.local_socket import PATH_LIMIT_BYTES, find_own_name
from core.errors import EngineError

LEAVE_DEADLINE_S = 30.0
POLL_S = 0.05


def show_or_stop_engine(arguments: argparse.Namespace) -> int:
    """Print whether the engine runs, or stop it. ``status`` returns code 3 when it does not run."""
    if arguments.action == "socket":
        return _print_socket(arguments.start)
    state, running = reach_engine.read_state()
    socket = paths.socket_path()
    if not running:
        print("the engine is not running")
        return exit_codes.NO_ENGINE if arguments.action == "status" else exit_codes.OK
    if arguments.action == "stop":
        reach_engine.ask(console_api.StopEngine(arguments.force))
        return _wait_until_gone()
    live = [study.name for study in state.studies.values() if study.state in s.LIVE_STUDY]
    print(f"the engine is running: {socket}")
    print(f"  log: {paths.engine_log()}")
    print(f"  studies: {len(state.studies)}, running: {', '.join(live) or 'none'}")
    return exit_codes.OK


def _print_socket(start: bool) -> int:
    if start:
        reach_engine.ensure_engine()
    state, running = reach_engine.read_state()
    remote = Remote(
        console_api.PROTOCOL, read_version(), running, _shorten_socket_path(paths.socket_path()),
        find_own_name(), platform.node(),
        tuple(summarize(study, time.time()) for study in state.studies.values()),
    )  # fmt: skip
    print(msgspec.json.encode(remote).decode())
    return exit_codes.OK


def _shorten_socket_path(socket: Path) -> str:
    """Return a path of the socket that a socket's address has room for: through the engine's folder."""
    if len(os.fsencode(socket)) > PATH_LIMIT_BYTES and (engine_health := read_health(socket)) is not None:
        return f"/proc/{engine_health.get('pid')}/cwd/{socket.name}"
    return str(socket)


def _wait_until_gone() -> int:
    """Wait until the engine no longer answers, so that a script can continue."""
    activity_line.set_activity("waiting for the engine to stop")
    deadline = time.monotonic() + LEAVE_DEADLINE_S
    while read_health(paths.socket_path()):
        if time.monotonic() > deadline:
            raise EngineError.of(
                f"the engine still answers after {LEAVE_DEADLINE_S:.0f} s",
                str(paths.engine_log()),
                "see the log for what it is waiting for",
            )
        time.sleep(POLL_S)
    print("the engine has stopped")
    return exit_codes.OK
