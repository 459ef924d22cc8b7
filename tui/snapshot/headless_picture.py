"""Draws one screen of the console without a terminal: as text, SVG or PNG."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from core import paths
from core.contract.text.sanitize import sanitize
from core.errors import EngineError, TrimtabError
from tui import console_settings
from tui.app import TrimtabApp
from tui.command_line.save_file import capture

ATTACHED_S, ASKED_S = 15.0, 10.0  # for the engine to send its state, and to answer what a screen asks
LOOK_S = 0.05


def draw_picture(socket: Path, study: str | None, picture: Mapping[str, Any]) -> int:
    """Attach, open ``picture["screen"]`` on ``picture["trial"]``, and write it to ``picture["out"]`` (None:
    text on standard output). Raises EngineError where the engine sends nothing."""
    home = paths.home()
    settings, _ = console_settings.read(home)
    app = TrimtabApp(socket, study, settings=settings)
    app.use_theme(home, light=False)
    app.home = None  # nothing of this is remembered
    app.faults = []
    results: list[str | TrimtabError] = []

    async def pilot_picture(pilot: Pilot[Any]) -> None:
        try:
            results.append(await _draw(app, pilot, picture))
        except TrimtabError as error:
            results.append(error)
        app.exit()

    app.run(headless=True, size=picture["size"], auto_pilot=pilot_picture)
    if app._exception is not None:
        raise app._exception
    if isinstance(results[0], TrimtabError):
        raise results[0]
    _write(results[0], picture["out"])
    return 0


async def _draw(app: TrimtabApp, pilot: Pilot[Any], picture: Mapping[str, Any]) -> str:
    if not await _wait_until(lambda: app.engine.attached or bool(app.engine.away), ATTACHED_S):
        raise EngineError.of("the engine sent nothing", str(app.engine.socket), "look into its log")
    if not app.engine.attached:
        raise EngineError.of(
            sanitize(app.engine.away, 300), str(app.engine.socket), "`trimtab engine status`"
        )
    await _wait_until(lambda: app._drawn[0] == app.engine.version, ATTACHED_S)
    await pilot.pause()
    _open(app, picture["screen"], picture["trial"])
    await pilot.pause()
    await _wait_until(lambda: _is_idle(app), ASKED_S)
    await pilot.pause()
    return capture(app, picture["out"] is not None and picture["out"].suffix.lower() != ".txt")


def _open(app: TrimtabApp, screen: str, trial: int | None) -> None:
    if trial is not None and (app.study is None or trial not in app.study.trials):
        raise TrimtabError.of(f"there is no trial {trial}", "--screen", "`trimtab status` lists the trials")
    if screen == "trials":
        return
    opened = app.places[screen](trial if trial is not None else app.find_selected_trial())
    if opened is None:
        raise TrimtabError.of(f"{screen}: there is nothing to show yet", "--screen", "wait for trials")
    app.push_screen(opened)


def _is_idle(app: TrimtabApp) -> bool:
    """Tell whether nothing is asked any more; the connection itself goes on for ever."""
    return all(worker.is_finished for worker in app.workers if worker.group != "engine")


async def _wait_until(true: Any, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _write(content: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(content)
        return
    try:
        with open(out, "wb", opener=paths.open_without_link) as file:
            file.write(_convert_to_png(content) if out.suffix.lower() == ".png" else content.encode())
    except OSError as error:
        problem = f"the picture cannot be written: {sanitize(error.strerror or str(error), 200)}"
        raise TrimtabError.of(
            problem, sanitize(str(out), 200), "choose a writable path that is not a link"
        ) from error


def _convert_to_png(svg: str) -> bytes:
    import cairosvg  # the command line has looked whether it is there

    result: bytes = cairosvg.svg2png(bytestring=svg.encode())
    return result
