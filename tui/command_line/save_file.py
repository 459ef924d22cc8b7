"""Saves what the console shows as a file: in this process, or by `trimtab export`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.views.trials.trial_csv import write_curves, write_trials
from core.errors import TrimtabError
from tui.base.base_screen import StudyScreen
from tui.export.background_command import run_in_background
from tui.export.save_dialog import SaveDialog
from tui.export.saved_kinds import Saving, Shown, list_savings

if TYPE_CHECKING:
    from tui.command_line.navigation import Navigation


def capture(app: Navigation, svg: bool) -> str:
    """Return what stands on the screen, as SVG or as lines of text."""
    width, height = app.size
    console = RichConsole(
        width=width, height=height, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        record=True, legacy_windows=False, safe_box=False,
    )  # fmt: skip
    console.print(app.screen._compositor.render_update(full=True, screen_stack=app._background_screens))
    if svg:
        return console.export_svg(title="trimtab")
    lines = console.export_text().splitlines()
    return "\n".join(line.rstrip() for line in lines[:height]) + "\n"


def open_save_dialog(app: Navigation, kind: str = "") -> None:
    """Ask what to save and where, and save it. The screen is taken as it is now, without the dialog."""
    screen, study, number = app.screen, app.study, app.find_selected_trial()
    trial = study.trials.get(number) if study is not None and number is not None else None
    name = (screen.CRUMB or screen.crumb) if isinstance(screen, StudyScreen) else "screen"
    name = "all" if study is not None and name == study.name else name
    shown = Shown(name, study, app.list_shown_trials(), trial, app.engine.host)
    screens = {"picture": capture(app, True), "text": capture(app, False)}

    async def save(saving: Saving, path: Path, may_replace: bool) -> Path:
        if saving.kind in ("report", "bundle"):
            await _export(shown, saving.kind, path, may_replace)
        else:
            _write(path, _make_content(shown, saving.kind, screens), may_replace)
        return path

    def tell(path: Path | None) -> None:
        if path is not None:
            app.notify(sanitize(str(path), 300), title="saved", timeout=6, markup=False)

    app.push_screen(SaveDialog(list_savings(shown), kind, save, app.look), tell)


def _make_content(shown: Shown, kind: str, screens: dict[str, str]) -> str:
    if kind == "table" and shown.study is not None:
        return write_trials(shown.study, shown.numbers)
    return write_curves(shown.trial) if kind == "curves" and shown.trial is not None else screens[kind]


def _write(path: Path, content: str, may_replace: bool) -> None:
    """Write the file, readable by its owner alone. Raises FileExistsError and other OSErrors."""
    with open(path, "w" if may_replace else "x", encoding="utf-8", opener=paths.open_without_link) as file:
        file.write(content)


async def _export(shown: Shown, kind: str, path: Path, may_replace: bool) -> None:
    """Run `trimtab export`. Raises FileExistsError, and TrimtabError with what it says."""
    assert shown.study is not None
    if path.exists() and not may_replace:
        raise FileExistsError
    words = ["export", *(["--force"] if may_replace else [])]
    if shown.trial is not None:
        words += ["--trial", str(shown.trial.number)]
    words += ["--html" if kind == "report" else "--out", str(path), "--", shown.study.name]
    command = [sys.executable, "-P", "-m", "tui.entry_point", *words]
    code, printed = await run_in_background(command, {"PYTHONPATH": str(paths.find_root()), "NO_COLOR": "1"})
    if code:
        fault = next((line for line in printed if line.startswith("trimtab: ")), f"exit code {code}")
        raise TrimtabError.of(fault.removeprefix("trimtab: "), "trimtab export")
