"""Each screen at four sizes in two themes, as text: one console for a scene, which is resized.

They are compared as text, and searched for general faults. They take minutes, so that they are drawn on
request only: ``TRIMTAB_SIZES=1 pytest tests/tui/test_sizes.py``; ``--snapshot-update`` draws them anew.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Backend, strips_of
from tests.tui.sampled import Answers
from tests.tui.scene import NOW, state_of
from tests.tui.test_looks import ANSWERS, SCENES, _settled, count_requests
from tests.tui.text_faults import list_faults
from tui.app import TrimtabApp
from tui.base.base_screen import StudyScreen
from tui.study.study_screen import AllTrials

pytestmark = pytest.mark.skipif("TRIMTAB_SIZES" not in os.environ, reason="TRIMTAB_SIZES is not set")
FOLDER = Path(__file__).with_name("pictures")
SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))
THEMES = ("harbour", "chart-paper")
OVER = (
    "help",
    "confirm",
    "command",
    "columns",
    "new",
    "clone",
    "edit",
    "change",
    "pin",
)  # dialogs
WALKS: dict[str, dict[str, tuple[str, ...]]] = {  # the keys from all trials to a screen, by scene
    "cards": {
        "study": (*"jjjjjj",), "trial": (*"jjjjjj", "enter"), "devices": ("d",), "events": ("8",),
        "help": ("question_mark",), "confirm": (*"jjjjjj", "x"), "command": ("colon", *"so"),
        "columns": ("C",), "studies": ("S",),
    },
    "empty": {"start": ()},
    "shared": {"memory": ("j", "m")},
    "scored": {"boards": ("j", "j", "b"), "evidence": ("j", "j", "b", "tab", "enter"),
               "report-card": ("j", "j", "b", "K")},
    "steered": {"new": (*"jjjjjj", "n"), "clone": (*"jjjjjj", "c"), "edit": (*"jjjjjj", "e"),
                "change": ("E",), "pin": (*"jjjjjjjjj", "D")},
    "explored": {
        "history": ("i",), "importance": ("i", "tab"), "slice": ("i", "tab", "tab"),
        "contour": ("i", "tab", "tab", "tab"), "parallel": ("i", "tab", "tab", "tab", "tab"),
        "sampler": ("i", "shift+tab"), "stopped": ("i", "shift+tab", "shift+tab"), "compare": ("j", "V"),
    },
    "looked": {"inside": ("j", "j", "enter", "a")},
    "sampled": {"pairs": ("T", "F", "tab")},
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_time_zone(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def text_of(app: TrimtabApp) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in strips_of(app)]


@pytest.mark.parametrize("scene", WALKS)
async def test_each_screen_at_four_sizes_in_two_themes(scene, tmp_path, request):
    socket = tmp_path / "e.sock"
    backend = Backend(socket, state_of(*SCENES[scene]))
    backend.answers = Answers() if scene == "sampled" else ANSWERS.get(scene, backend.answers)
    await backend.open()
    app = TrimtabApp(socket, None, clock=lambda: NOW)
    asked, wrong = count_requests(app), list[str]()
    try:
        async with app.run_test(size=SIZES[1]) as pilot:
            while not app.engine.attached:
                await pilot.pause(0.05)
            for name, keys in WALKS[scene].items():
                pages = await draw_pages(app, pilot, asked, keys)
                wrong += faults_of(name, pages)
                if request.config.option.update_snapshots:
                    (FOLDER / f"{name}.txt").write_text(as_text(pages), "utf-8")
                else:
                    kept = (FOLDER / f"{name}.txt").read_text("utf-8")
                    assert as_text(pages) == kept, f"{name} looks other than tests/tui/pictures/{name}.txt"
    finally:
        await backend.runner.cleanup()
    assert not wrong, "\n".join(wrong)


async def draw_pages(app: TrimtabApp, pilot: Pilot, asked: set[object], keys: tuple[str, ...]) -> dict:
    """Open a screen from all trials, and return its lines by size."""
    app.theme = THEMES[0]
    await pilot.resize_terminal(*SIZES[1])
    while not isinstance(app.screen, AllTrials):
        await pilot.press("escape")
    await pilot.press("g")
    for key in keys:
        await pilot.press(key)
        if key != "j":
            await _settled(app, pilot, asked)
    pages = {}
    for size in SIZES:
        await pilot.resize_terminal(*size)
        pages[size] = await draw_page(app, pilot, asked, size)
    app.theme = THEMES[1]
    drawn = await draw_page(app, pilot, asked, SIZES[-1])
    assert drawn == pages[SIZES[-1]], f"{keys}: another theme has other texts"
    return pages


async def draw_page(app: TrimtabApp, pilot: Pilot, asked: set[object], size: tuple[int, int]) -> list[str]:
    """Return the lines once two pictures in a row are the same, between which everything was drawn again.

    A screen below a dialog is laid out when its turn comes, which on a busy machine is after the dialog
    stands still; a change of the theme draws it at once. So a picture that stands still may be an old one.
    """
    before: list[str] = []
    for _ in range(100):
        for screen in app.screen_stack:
            if isinstance(screen, StudyScreen):
                screen.show()
        await _settled(app, pilot, asked)
        lines = text_of(app)
        sizes = {screen.size for screen in app.screen_stack if isinstance(screen, StudyScreen)}
        if lines == before and len(lines) == size[1] and {app.screen.size, *sizes} == {size}:
            return lines
        before = lines
    raise AssertionError(f"{app.screen}: no two pictures in a row are the same")


def faults_of(name: str, pages: dict[tuple[int, int], list[str]]) -> list[str]:
    wide, over = pages[SIZES[-1]], name in OVER
    return [
        f"{name} {width}×{height}: {fault}"
        for (width, height), lines in pages.items()
        for fault in list_faults(lines, wide, over)
    ]


def as_text(pages: dict[tuple[int, int], list[str]]) -> str:
    parts = []
    for (width, height), lines in pages.items():
        text = "\n".join(line.rstrip() for line in lines)
        parts.append(f"=== {width}×{height}\n{re.sub(r'/tmp/[^ │]*', '/tmp/…', text)}\n")
    return "".join(parts)
