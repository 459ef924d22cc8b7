"""``trimtab run`` and plain ``trimtab``: starts a study, opens the console, or follows in plain lines."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from core.cli import activity_line, exit_codes, reach_engine, resolve_trial
from core.cli.parsers import console_options
from core.contract.state import engine_state as s
from core.contract.text import fullscreen_terminal_check
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, shell_environment
from core.errors import EngineError, Problem

DETACHED = "the study continues: `trimtab` opens the console, `trimtab status` shows its state"


def attach(arguments: argparse.Namespace) -> int:
    """Open the console on the engine, or the plain view where the terminal cannot move its cursor.

    Raises UsageError where neither can be shown.
    """
    if arguments.host is not None:
        from core.cli.remote import attach_host

        return attach_host.attach(arguments)
    if arguments.plain or (
        fullscreen_terminal_check.is_interactive() and fullscreen_terminal_check.is_dumb()
    ):
        from core.cli.inspect import plain_view

        return plain_view.watch(reach_engine.ensure_engine(), arguments.study)
    problem = fullscreen_terminal_check.find_obstacle()
    if arguments.console is None or problem is not None:
        raise resolve_trial.UsageError(
            problem or Problem("this program has no console", "", fullscreen_terminal_check.LINES)
        )
    return _open_console(arguments, reach_engine.ensure_engine(), arguments.study)


def run(arguments: argparse.Namespace) -> int:
    """Start the study in the file; then open the console, follow in plain lines, or return.

    Raises SpecError, EngineError, RefusedError.
    """
    from core.contract.spec import spec_file

    spec = spec_file.load(Path(arguments.spec))
    raw = spec_file.convert_to_raw(spec)
    name = spec.study.name
    follows = not (arguments.headless or arguments.detach)
    interactive = follows and _is_interactive(arguments)
    if (
        follows
        and not interactive
        and fullscreen_terminal_check.is_interactive()
        and (problem := fullscreen_terminal_check.find_obstacle())
    ):
        print(f"{problem.what}: printing plain lines instead", file=sys.stderr)
    socket = reach_engine.ensure_engine()
    if interactive and _is_complete(name, raw):  # nothing to start: show the results
        return _open_console(arguments, socket, name)
    spec_location = str(Path(arguments.spec).absolute())
    started = reach_engine.ask(
        console_api.StartStudy(raw, spec_location, "command line", shell_environment.read_own()), socket
    )
    for note in started.notes if isinstance(started, console_api.Started) else ():
        print(f"note: {sanitize(note, 400)}", file=sys.stderr)
    if interactive:
        return _open_console(arguments, socket, name)
    _warn_of_logout(socket)
    if arguments.detach:
        print(f"{name} is running; {DETACHED}")
        return exit_codes.OK
    from core.cli.inspect import follow_study

    try:
        return asyncio.run(follow_study.follow_until_ended(socket, name))
    except KeyboardInterrupt:
        print(f"\ndetached; {DETACHED}", flush=True)
        return exit_codes.INTERRUPTED


def _is_complete(name: str, raw: dict[str, Any]) -> bool:
    """Return whether the same study is already complete."""
    study = reach_engine.read_state()[0].studies.get(name)
    return study is not None and study.state == s.COMPLETE and study.spec == raw


def _is_interactive(arguments: argparse.Namespace) -> bool:
    return arguments.console is not None and fullscreen_terminal_check.find_obstacle() is None


def _open_console(arguments: argparse.Namespace, socket: Path, name: str | None) -> int:
    activity_line.stop_activity()  # the terminal is the console's
    code = arguments.console(socket, name, **console_options.list_chosen(arguments))
    _warn_of_logout(socket)
    result: int = code
    return result


def _warn_of_logout(socket: Path) -> None:
    """Warn where logging out would stop the engine."""
    from core.contract.wire.engine_health_check import read_health
    from core.watch import systemd_logout

    try:
        engine = read_health(socket)
    except EngineError:
        return
    why = systemd_logout.explain_kill(engine["pid"]) if engine and isinstance(engine.get("pid"), int) else ""
    if why:
        print(
            f"the engine will stop when you log out: {sanitize(why)}\n  → {systemd_logout.FIX}",
            file=sys.stderr,
        )
