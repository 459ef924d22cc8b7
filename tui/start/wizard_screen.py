"""The wizard: a model, data and a device become a study file with its memory estimate, saved and started."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from core import paths
from core.contract.text.sanitize import sanitize
from tui.base.latest_query import Ask
from tui.start.path_completion import PathSuggester
from tui.start.recommend_process import (
    list_memory_lines,
    make_fit_command,
    make_recommend_command,
    run_command,
)
from tui.start.start_dialog_base import StartForm
from tui.theme_colors import Palette

ROWS = (  # id, label, what may be typed
    ("model", "model", "a folder, or a Hugging Face id such as HuggingFaceTB/SmolLM2-135M"),
    ("data", "data", "JSONL, CSV or Parquet, a folder, or a hub data set (with its rows)"),
    ("rows", "rows", "empty: all rows of the file"),
    ("device", "device", 'empty: this machine; or a card to plan for, such as "24 GiB" or "H100"'),
    ("file", "study file", "where it is saved"),
)
SECOND, FIRST = "Enter saves and starts it · Esc leaves", "Enter estimates the memory · Esc leaves"


class WizardScreen(StartForm):
    """Enter asks `trimtab recommend` and `trimtab fit`; Enter again saves the file and starts the study."""

    DEFAULT_CSS = "WizardScreen Static.label { color: $text-muted; }"
    SUFFIXES = {"model": ("/",), "data": (), "file": (".toml",)}

    def __init__(self, ask: Ask, look: Palette) -> None:
        super().__init__(ask, look)
        self._aside: Path | None = None  # the folder with the file before it is saved
        self._planned: dict[str, str] | None = None  # what the file was written for
        self._saved = ""  # where it is

    def compose(self) -> ComposeResult:
        """Compose the rows, and the foot with the answer."""
        with Vertical() as box:
            box.border_title = "a first study"
            box.border_subtitle = FIRST
            for name, label, meaning in ROWS:
                yield Static(label, classes="label", markup=False)
                suggester = PathSuggester(self.SUFFIXES[name]) if name in self.SUFFIXES else None
                yield Input(placeholder=meaning, suggester=suggester, id=name)
            yield Static("", id="foot", markup=False)

    def on_mount(self) -> None:
        """Begin with the model."""
        self.query_one("#model", Input).focus()
        self.tell(
            "trimtab suggests a search space, rates and sizes for them, each with its reason and source"
        )

    def on_unmount(self) -> None:
        """Remove what was not saved."""
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)

    @property
    def typed(self) -> dict[str, str]:
        """What stands in the rows."""
        return {name: self.query_one(f"#{name}", Input).value.strip() for name, _, _ in ROWS}

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another model, data or device needs another estimate."""
        if self._planned is not None and _make_question(self.typed) != _make_question(self._planned):
            self._planned = None
            self.query_one(Vertical).border_subtitle = FIRST
            self.tell("changed: Enter estimates the memory again")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Estimate, or save and start."""
        typed = self.typed
        missing = next((name for name in ("model", "data") if not typed[name]), "")
        if self._busy:
            return
        if missing:
            self.query_one(f"#{missing}", Input).focus()
            self.tell(f"{missing} is missing", color="warning")
        elif self._planned is None:
            self._busy = True
            self.tell("reading the data and estimating the memory …")
            self.run_worker(self._show_plan(typed), exit_on_error=True)
        else:
            self._save_and_start(typed["file"])

    async def _show_plan(self, typed: dict[str, str]) -> None:
        try:
            lines, fault = await self._recommend(typed)
        finally:
            self._busy = False
        if fault:
            foot = Text(fault, style=self._look["warning"])
        else:
            self._planned = typed
            self.query_one(Vertical).border_subtitle = SECOND
            place = self.query_one("#file", Input)
            place.value = place.value or propose_file(typed["model"], typed["data"])
            foot = Text("\n".join(lines))
        self.query_one("#foot", Static).update(foot)

    async def _recommend(self, typed: dict[str, str]) -> tuple[list[str], str]:
        """Return the answer in lines, or a fault."""
        if self._aside is None:
            self._aside = Path(tempfile.mkdtemp(prefix="trimtab-wizard-"))
        draft = self._draft
        draft.unlink(missing_ok=True)
        plan = await run_command(
            make_recommend_command(typed["model"], typed["data"], typed["rows"], typed["device"], str(draft))
        )
        if plan.fault:
            return [], plan.fault
        memory = await run_command(make_fit_command(str(draft), typed["device"]))
        if memory.fault:
            return [], memory.fault
        doubts = [f"not sure: {sanitize(str(doubt), 300)}" for doubt in plan.found.get("doubts", ())]
        return [*list_memory_lines(memory.found), *doubts], ""

    @property
    def _draft(self) -> Path:
        return (self._aside or Path()) / "study.toml"

    def _save_and_start(self, file: str) -> None:
        place = paths.expand_home(file)
        try:
            if str(place) != self._saved:
                with place.open("x", encoding="utf-8") as out:
                    out.write(self._draft.read_text("utf-8"))
                self._saved = str(place)
        except FileExistsError:
            self.tell(f"{place} already exists", "→ choose another name", color="warning")
            return
        except (OSError, ValueError) as error:
            self.tell(f"{place} cannot be written: {error}", "→ choose a writable path", color="warning")
            return
        self.start(file)


def _make_question(typed: dict[str, str]) -> list[str]:
    """What the estimate depends on."""
    return [typed[name] for name in ("model", "data", "rows", "device")]


def propose_file(model: str, data: str) -> str:
    """Return a file name of the model and the data, that no file has."""
    names = [re.sub(r"[^A-Za-z0-9.-]+", "-", Path(text).name) for text in (model, data)]
    stem = f"{names[0]}-{names[1].partition('.')[0]}".strip("-.") or "study"
    free = (f"{stem}{f'-{number}' if number else ''}.toml" for number in range(1000))
    return next((name for name in free if not Path(name).exists()), "")
