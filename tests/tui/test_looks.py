"""What the console looks like, as pictures: a change of them is looked at before it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.looked import sample
from tests.tui import dataset, explored
from tests.tui.conftest import Backend, strips_of
from tests.tui.sampled import Answers, rated_study
from tests.tui.scene import NOW, cpu_pack, four_cards, gpu_packs, no_card, state_of, study_events
from tests.tui.scored import evidence, scored_study
from tests.tui.steered import answers as steered
from tests.tui.steered import steered_study
from tests.tui.weighed import answers, on_cards, on_cpu, shared_card, weighed_study
from tui.app import TrimtabApp

SCENES = {
    "study": (study_events(), no_card(), cpu_pack()),
    "cards": (study_events(), four_cards(), gpu_packs()),
    "empty": (no_card(),),
    "weighed": (weighed_study(), no_card(), cpu_pack()),
    "shared": (weighed_study(), shared_card(), gpu_packs()),
    "scored": (scored_study(), four_cards(), gpu_packs()),
    "steered": (steered_study(), four_cards(), gpu_packs()),
    **explored.SCENES,
    "looked": (scored_study(), four_cards(), gpu_packs()),
    "sampled": (rated_study(), four_cards(), gpu_packs()),
    "mixed": (dataset.mixed_study(), four_cards(), gpu_packs()),
}
ANSWERS = {
    "weighed": answers(on_cpu()),
    "shared": answers(on_cards()),
    "scored": evidence,
    "steered": steered,
    **dict.fromkeys(explored.SCENES, explored.answers),
    "looked": lambda request: sample(),
    "mixed": dataset.answers,
}
LONGER_THAN_PACE_S = 0.06  # the console's pace in tests is 0.04 s
SHOTS = [
    ("study", (80, 24), ()),
    ("study", (160, 48), ("j",)),
    ("cards", (160, 48), ("j", "j", "j", "j")),
    ("cards", (80, 24), ()),
    ("cards", (80, 24), ("d",)),
    ("cards", (120, 40), ("d", "tab")),
    ("empty", (80, 24), ()),
    ("study", (80, 24), ("enter",)),
    ("study", (160, 48), ("j", "j", "j", "enter", "w")),
    ("study", (80, 24), ("question_mark",)),
    ("study", (80, 24), ("s",)),
    ("weighed", (80, 24), ("j", "m")),
    ("shared", (120, 40), ("j", "m", "down", "right")),
    ("shared", (200, 50), ("j", "m")),
    ("scored", (80, 24), ("j", "j", "b", "tab")),
    ("scored", (120, 40), ("j", "j", "b", "tab", "o")),
    ("scored", (200, 50), ("j", "j", "b", "tab", "l")),
    ("scored", (80, 24), ("j", "j", "b", "tab", "enter", "down")),
    ("scored", (80, 24), ("j", "j", "b", "K")),
    ("scored", (120, 40), ("j", "j", "b", "K")),
    ("scored", (120, 60), ("j", "j", "enter")),
    ("steered", (80, 24), ("j",)),
    ("steered", (80, 24), (*"jjjjjj", "n")),
    ("steered", (80, 24), (*"jjjjjj", "c", "down", "3", "up", "x", "z")),
    ("steered", (120, 40), (*"jjjjj", "e", "x", "2", "up", "right")),
    ("steered", (120, 40), (*"jjjjjj", "enter")),
    ("steered", (80, 24), ("E",)),
    ("steered", (200, 60), ("E", *"1e-5,1e-4", "tab", "=", "4")),
    ("steered", (80, 24), ("E", *"1e-5,1e-4", "enter")),
    ("scored", (100, 70), ("E", *["down"] * 20, *"cf,mn")),
    ("steered", (80, 24), (*"jjjjjjjjj", "D")),
    ("explored", (80, 24), ("v", "j", "j", "v", "j")),
    ("explored", (80, 24), ("i", "right")),
    ("explored", (80, 24), ("i", "tab")),
    ("explored", (200, 60), ("i", "tab", "tab", "right")),
    ("explored", (80, 24), ("i", "tab", "tab", "tab", "right")),
    ("explored", (120, 40), ("i", "tab", "tab", "tab", "tab", "right")),
    ("explored", (80, 24), ("i", "shift+tab", "shift+tab", "down")),
    ("two", (80, 24), ("i", "tab", "tab", "tab", "tab", "tab", "down")),
    ("explored", (120, 40), ("i", "tab", "tab", "down")),
    ("explored", (80, 24), ("j", "V")),
    ("explored", (200, 60), ("v", "j", "j", "v", "j", "v", "j", "v", "V", "t")),
    ("looked", (80, 24), ("j", "j", "enter", "a")),
    ("looked", (200, 60), ("j", "j", "enter", "a")),
    ("sampled", (80, 24), (*"jjjjjj", "T", "B", "enter", *"tea?", "enter")),
    ("sampled", (120, 40), ("T", "F", "tab", "left")),
    ("sampled", (60, 18), ("T", "F", "tab")),
    ("mixed", (80, 24), ("J", "down")),
    ("mixed", (120, 40), ("J",)),
    ("mixed", (80, 24), ("J", "down", "down", "enter")),
]


@pytest.fixture(autouse=True)
def one_time_zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def named(part: object) -> str:
    return "-".join(map(str, part)) if isinstance(part, tuple) else str(part)


def mark_wider_ones(shots: list[Any]) -> Iterator[Any]:
    """Slow is a larger picture of a screen that is drawn at 80 × 24, too."""
    screens = [
        (scene, size, next((key for key in keys if key not in "jv"), "")) for scene, size, keys in shots
    ]
    small = {(scene, key) for scene, size, key in screens if size == (80, 24)}
    for shot, (scene, size, key) in zip(shots, screens, strict=True):
        is_wider = size != (80, 24) and (scene, key) in small
        yield pytest.param(*shot, marks=pytest.mark.slow if is_wider else ())


@pytest.mark.parametrize(("scene", "size", "keys"), mark_wider_ones(SHOTS), ids=named)
def test_picture(snap_compare, tmp_path, scene, size, keys):
    socket = tmp_path / "e.sock"
    app = TrimtabApp(socket, None, clock=lambda: NOW)
    backends: list[Backend] = []
    asked = count_requests(app)

    async def before(pilot: Pilot) -> None:
        backend = Backend(socket, state_of(*SCENES[scene]))
        backend.answers = Answers() if scene == "sampled" else ANSWERS.get(scene, backend.answers)
        backends.append(backend)
        await backend.open()
        while not app.engine.attached:
            await pilot.pause(0.05)
        await _settled(app, pilot, asked)
        for key in keys:
            await pilot.press(key)
            if key not in "jv" and not (isinstance(app.focused, Input) and len(key) == 1):
                await _answered(app, pilot, asked)  # else it only moves on, or more is typed
        await _settled(app, pilot, asked)

    assert snap_compare(app, terminal_size=size, run_before=before)


def count_requests(app: TrimtabApp) -> set[object]:
    """The requests that the engine has not answered yet, as a set that is kept up to date."""
    real, waiting = app.engine.ask, set()

    async def ask(request: Any) -> Any:
        waiting.add(token := object())
        try:
            return await real(request)
        finally:
            waiting.discard(token)

    app.engine.ask = ask  # type: ignore[method-assign]
    return waiting


async def _answered(app: TrimtabApp, pilot: Pilot, waiting: set[object]) -> None:
    """Wait until all that came is shown, and no answer is still to come."""
    await pilot.pause(LONGER_THAN_PACE_S)
    while waiting or app._drawn[0] != app.engine.version:
        await pilot.pause(LONGER_THAN_PACE_S)


async def _settled(app: TrimtabApp, pilot: Pilot, waiting: set[object]) -> None:
    """Wait until two pictures in a row are the same, show all that came, and no answer is still to come;
    cursors stand still."""
    before = None
    for field in app.screen.query(Input):
        field.cursor_blink = False
    for _ in range(100):
        await pilot.pause(LONGER_THAN_PACE_S)
        app.screen.refresh()
        await pilot.pause()
        now = strips_of(app)  # with colours
        if now == before and app._drawn[0] == app.engine.version and not waiting:
            return
        before = now
