"""Runs one console after another in the same terminal: each on an engine, here or on another host."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from core import paths
from core.contract.hosts.ssh_tunnel import Tunnel
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.local_socket import find_own_name
from core.errors import TrimtabError
from tui import app as console
from tui import console_settings, terminal_restore, theme_choice
from tui.study.away_page_decision import AwayNotice
from tui.terminal import background_query
from tui.terminal.capabilities import detect

Color = tuple[int, int, int]


def run(
    socket: Path,
    study: str | None,
    rate: float | None = None,
    read_only: bool = False,
    tunnel: Tunnel | None = None,
) -> int:
    """Open the console on the engine at ``socket``, and on others that the user chooses there; ``rate`` is in
    frames a second, ``tunnel`` leads to another host. Returns the exit code."""
    background = _ask_background()
    apps: list[console.TrimtabApp] = []
    terminal_restore.leave_with_it()
    terminal_restore.leave_by_signal(lambda code: bool(apps) and apps[-1].leave(code))
    while True:
        app = _prepare(socket, study, rate, read_only, tunnel, background)
        apps.append(app)
        try:
            app.run(mouse=app.settings.mouse)
        finally:
            if tunnel is not None:
                tunnel.close()
        _raise_failure(app)
        if app.next_engine is None:
            break
        (socket, tunnel), study = app.next_engine, app.next_study or None
    _say_goodbye(app)
    return app.return_code or 0


def _ask_background() -> Color | None:
    """Ask the terminal for its background, unless the theme is known already."""
    home = paths.home()
    settings, _ = console_settings.read(home)
    chosen = settings.theme or theme_choice.read_remembered(home)
    must_ask = not chosen and "COLORFGBG" not in os.environ
    return background_query.ask(os.environ.get("TERM", "")) if must_ask else None


def _prepare(
    socket: Path,
    study: str | None,
    rate: float | None,
    read_only: bool,
    tunnel: Tunnel | None,
    background: Color | None,
) -> console.TrimtabApp:
    home = paths.home()
    settings, fault = console_settings.read(home)
    capabilities = detect(glyphs=settings.glyphs)
    app = console.TrimtabApp(socket, study, time.time, capabilities, rate or settings.rate, settings, tunnel)
    app.use_theme(home, theme_choice.is_light(os.environ, background))
    app.faults += [fault] if fault else []
    app.away_notice = AwayNotice(home if tunnel is None else tunnel.folder)
    app.engine.read_only = read_only
    place = f"{find_own_name()}@{platform.node()}"
    if tunnel is not None and tunnel.remote is not None:
        place = f"{tunnel.remote.place()} · {tunnel.host.name} by SSH"
    app.place = sanitize(f"{place}{' · read-only' if read_only else ''}", 80)
    return app


def _raise_failure(app: console.TrimtabApp) -> None:
    """Raise what ended the console. Raises TrimtabError if the terminal is gone."""
    if app._exception is not None:
        raise app._exception
    if app.broken:
        raise TrimtabError.of(
            "the console can no longer read from the terminal", "standard input", "open it again: `trimtab`"
        )


def _say_goodbye(app: console.TrimtabApp) -> None:
    study, host = app.study, app.engine.host
    again = f"trimtab attach --host {host}" if host else "trimtab"
    if study is not None and study.state in s.LIVE_STUDY:
        print(f"detached — the study continues; reopen with `{again}`")
    elif study is not None and host:
        print(f"the study {study.name} on {host} is {study.state}")
    elif study is not None:
        print(f"the study {study.name} is {study.state}; `trimtab best` names the best trial")
