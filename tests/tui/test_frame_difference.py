"""What the console writes shows, in a terminal, exactly what Textual would have painted, in few bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._compositor import Compositor
from textual.geometry import Size
from textual.strip import Strip

from tests.tui import conftest
from tests.tui.conftest import Backend, strips_of
from tests.tui.emulator import Emulator, painted
from tests.tui.scene import NOW, four_cards, state_of, study_events
from tui.app import TrimtabApp
from tui.terminal.capabilities import Capabilities
from tui.terminal.cell_grid import CellGrid
from tui.terminal.console_driver import ConsoleDriver
from tui.terminal.frame_difference import FrameDifference

SIZE = (24, 4)
COLORS = st.sampled_from([None, "#10161c", "#ff8800", "red", "bright_blue"])
STYLES = st.builds(
    Style, color=COLORS, bgcolor=COLORS, bold=st.booleans(), underline=st.booleans(), reverse=st.booleans()
)
TEXTS = st.text(st.sampled_from("ab  1世é⣿█👍"), max_size=12) | st.integers(1, 20).map(lambda n: " " * n)
LINES = st.lists(st.tuples(TEXTS, STYLES).map(lambda pair: Segment(*pair)), max_size=4)
FRAMES = st.lists(st.tuples(st.integers(0, SIZE[1] - 1), LINES), max_size=4)


def frame_of(lines: list[list[Segment]]) -> list[Strip]:
    return [Strip(line).adjust_cell_length(SIZE[0], Style(bgcolor="#10161c")) for line in lines]


@settings(max_examples=60, deadline=None)
@given(st.lists(FRAMES, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_the_cells_are_those_of_a_full_paint_after_any_changes(frames, erases_in_color, lost):
    """``lost``: something else wrote to the terminal, and the console was told to paint again."""
    grid, difference, terminal = (
        CellGrid(ColorSystem.TRUECOLOR),
        FrameDifference(erases_in_color),
        Emulator(SIZE),
    )
    grid.resize(*SIZE)
    lines: list[list[Segment]] = [[] for _ in range(SIZE[1])]
    for changes in frames:
        for y, line in changes:
            lines[y] = line
        strips = frame_of(lines)
        for y, strip in enumerate(strips):
            grid.put(0, y, strip)
        terminal.feed(difference.write(grid, (3, 1)))
        assert terminal.cells() == painted(strips, SIZE)
        assert terminal.cursor() == (3, 1)
        assert difference.write(grid, (3, 1)) == ""
    if lost:
        terminal.feed("\x1b[31mgarbage\r\n\x1b[7mmore")
        difference.forget()
        terminal.feed(difference.write(grid))
        assert terminal.cells() == painted(strips, SIZE)


def test_one_changed_number_costs_a_few_bytes():
    grid, difference = CellGrid(ColorSystem.TRUECOLOR), FrameDifference(True)
    grid.resize(80, 24)
    style = Style(color="#8bd3c7", bgcolor="#10161c")
    grid.put(0, 5, [Segment("step 119/400".ljust(80), style)])
    first = difference.write(grid)
    grid.put(0, 5, [Segment("step 120/400".ljust(80), style)])
    assert len(first) < 120 and len(difference.write(grid)) < 32


def test_without_color_no_escape_sequence_has_a_color():
    grid, difference = CellGrid(None), FrameDifference(False)
    grid.resize(20, 2)
    grid.put(
        0,
        0,
        [
            Segment("bold", Style(color="red", bgcolor="#101010", bold=True)),
            Segment(" x", Style(color="blue")),
        ],
    )
    assert difference.write(grid) == "\x1b[m\x1b[2J\x1b[H\x1b[1mbold \x1b[mx\r"


class Replayed(ConsoleDriver):
    """Our driver with an emulator in the place of a terminal, which takes all at once and always answers."""

    emulator: Emulator

    def start_application_mode(self) -> None:
        size = Size(*self._size)
        self.emulator, self.active = Emulator(size), True
        asyncio.run_coroutine_threadsafe(self._app._post_message(events.Resize(size, size)), loop=self._loop)

    def write(self, data: str) -> None:
        self.emulator.feed(data.replace("\x1b[6n", ""))
        if "\x1b[6n" in data:
            self._loop.call_soon(self.on_answer)

    def stop_application_mode(self) -> None:
        self.active = False

    def disable_input(self) -> None: ...

    def close(self) -> None: ...


class ReplayedApp(TrimtabApp):
    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: Any) -> Any:
        self.driver_class = Replayed
        return super()._build_driver(False, inline, mouse, size)


@pytest.mark.parametrize("erases_in_color", [True, False])
async def test_the_console_shows_what_textual_would_paint(tmp_path, monkeypatch, erases_in_color):
    """Attach, a moved cursor, the detail, a dialog, another size, another theme, and a spoilt screen."""
    monkeypatch.setattr(Compositor, "render_update", conftest.render_update)
    backend = Backend(tmp_path / "e.sock", state_of(study_events(), four_cards()))
    await backend.open()
    capabilities = Capabilities(erases_in_color=erases_in_color)
    app = ReplayedApp(backend.socket, None, lambda: NOW, capabilities, rate=1000)

    async def agree(pilot: Any) -> None:
        for _ in range(200):
            await pilot.pause(0.02)
            emulator, size = app._driver.emulator, tuple(app.screen.outer_size)
            app.screen.refresh()
            if emulator.cells() == painted(strips_of(app), size):
                return
        raise AssertionError(emulator.text())

    try:
        async with app.run_test(size=(100, 30)) as pilot:
            while not app.engine.attached:
                await pilot.pause(0.02)
            await agree(pilot)
            assert "tidy-7b" in app._driver.emulator.text()
            for key in ("j", "enter", "L", "escape", "question_mark", "escape", "m"):
                await pilot.press(key)
                await agree(pilot)
            app._driver.emulator.resize((80, 24))
            await pilot.resize_terminal(80, 24)
            await agree(pilot)
            app.theme = "chart-paper"
            await agree(pilot)
            app._driver.emulator.feed("\x1b[2Jspoilt")
            await pilot.press("ctrl+l")
            await agree(pilot)
            assert "spoilt" not in app._driver.emulator.text()
    finally:
        await backend.runner.cleanup()
