"""``trimtab run`` and plain ``trimtab``: start a study, open the console, or follow in plain lines."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from core.cli import activity, choose, exits, reach
from core.contract import environment, terminal, wire
from core.contract import state as s
from core.contract.plain import plain
from core.errors import EngineError, Problem

DETACHED = "the study goes on: `trimtab` opens the console, `trimtab status` says how it stands"


def attach(arguments: argparse.Namespace) -> int:
    """Open the console on the engine. Raises UsageError where none can be drawn."""
    problem = terminal.obstacle()
    if arguments.console is None or problem is not None:
        raise choose.UsageError(problem or Problem("this program has no console", "", terminal.LINES))
    return _console(arguments, reach.ensured(), None)


def run(arguments: argparse.Namespace) -> int:
    """Start the study in the file; then open the console, follow in plain lines, or return.

    Raises SpecError, EngineError, RefusedError.
    """
    from core.contract import specfile

    spec = specfile.load(Path(arguments.spec))
    raw = specfile.to_raw(spec)
    name = spec.study.name
    wanted = not (arguments.headless or arguments.detach)
    interactive = wanted and _interactive(arguments)
    if wanted and not interactive and terminal.is_there() and (problem := terminal.obstacle()):
        print(f"{problem.what}: plain lines follow", file=sys.stderr)
    socket = reach.ensured()
    if interactive and _finished(name, raw):  # nothing is left to start: show it
        return _console(arguments, socket, name)
    where = str(Path(arguments.spec).absolute())
    started = reach.ask(wire.StartStudy(raw, where, "command line", environment.here()), socket)
    for note in started.notes if isinstance(started, wire.Started) else ():
        print(f"note: {plain(note, 400)}", file=sys.stderr)
    if interactive:
        return _console(arguments, socket, name)
    _warn_of_logout(socket)
    if arguments.detach:
        print(f"{name} runs; {DETACHED}")
        return exits.OK
    from core.cli import follow

    try:
        return asyncio.run(follow.until_ended(socket, name))
    except KeyboardInterrupt:
        print(f"\ndetached; {DETACHED}", flush=True)
        return exits.INTERRUPTED


def _finished(name: str, raw: dict) -> bool:
    """The same study is complete already."""
    study = reach.known()[0].studies.get(name)
    return study is not None and study.state == s.COMPLETE and study.spec == raw


def _interactive(arguments: argparse.Namespace) -> bool:
    return arguments.console is not None and terminal.obstacle() is None


def _console(arguments: argparse.Namespace, socket: Path, name: str | None) -> int:
    activity.hush()  # the terminal is the console's
    code = arguments.console(socket, name)
    _warn_of_logout(socket)
    return code


def _warn_of_logout(socket: Path) -> None:
    """Where it is said that a study goes on, it is also said what may end it."""
    from core.daemon import launch
    from core.watch import logout

    try:
        known = launch.health(socket)
    except EngineError:
        return
    why = logout.reason(known["pid"]) if known and isinstance(known.get("pid"), int) else ""
    if why:
        print(f"the engine does not outlast this login: {plain(why)}\n  → {logout.FIX}", file=sys.stderr)
