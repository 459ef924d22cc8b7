"""``trimtab engine status | stop``."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import exits, reach
from core.contract import state as s
from core.contract import wire


def engine(arguments: argparse.Namespace) -> int:
    """Say whether the engine lives, or stop it. ``status`` gives code 3 when it does not."""
    state, running = reach.known()
    socket = paths.socket_path()
    if not running:
        print("the engine is not running")
        return exits.NO_ENGINE if arguments.action == "status" else exits.OK
    if arguments.action == "stop":
        reach.ask(wire.StopEngine(arguments.force))
        print("the engine stops")
        return exits.OK
    live = [one.name for one in state.studies.values() if one.state in s.LIVE_STUDY]
    print(f"the engine runs: {socket}")
    print(f"  log: {paths.engine_log()}")
    print(f"  studies: {len(state.studies)}, running: {', '.join(live) or 'none'}")
    return exits.OK
