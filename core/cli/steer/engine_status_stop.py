"""``trimtab engine status | stop``."""

from __future__ import annotations

import argparse
import time

from core import paths
from core.cli import activity_line, exit_codes, reach_engine
from core.contract.state import study_state as s
from core.contract.wire import console_api
from core.contract.wire.engine_health import health
from core.errors import EngineError

LEAVE_DEADLINE_S = 30.0
POLL_S = 0.05


def engine(arguments: argparse.Namespace) -> int:
    """Say whether the engine lives, or stop it. ``status`` gives code 3 when it does not."""
    state, running = reach_engine.known()
    socket = paths.socket_path()
    if not running:
        print("the engine is not running")
        return exit_codes.NO_ENGINE if arguments.action == "status" else exit_codes.OK
    if arguments.action == "stop":
        reach_engine.ask(console_api.StopEngine(arguments.force))
        return _gone()
    live = [one.name for one in state.studies.values() if one.state in s.LIVE_STUDY]
    print(f"the engine runs: {socket}")
    print(f"  log: {paths.engine_log()}")
    print(f"  studies: {len(state.studies)}, running: {', '.join(live) or 'none'}")
    return exit_codes.OK


def _gone() -> int:
    """Wait until nobody answers any more, so that a script may go on from here."""
    activity_line.now("waiting for the engine to end")
    deadline = time.monotonic() + LEAVE_DEADLINE_S
    while health(paths.socket_path()):
        if time.monotonic() > deadline:
            raise EngineError.of(
                f"the engine still answers after {LEAVE_DEADLINE_S:.0f} s",
                str(paths.engine_log()),
                "the log says what it waits for",
            )
        time.sleep(POLL_S)
    print("the engine has stopped")
    return exit_codes.OK
