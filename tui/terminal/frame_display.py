"""The part of the app that shows frames: cells that changed, at the pace that the line can take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from rich.console import RenderableType
from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen

from tui.terminal.capabilities import Capabilities
from tui.terminal.cell_grid import CellGrid
from tui.terminal.console_driver import ConsoleDriver
from tui.terminal.frame_difference import FrameDifference
from tui.terminal.frame_pacing import FramePacing
from tui.terminal.glyph_fallback import choose_fallback

ASK_CURSOR = "\x1b[6n"
LOOK_AGAIN_S = 0.05  # at a line that is busy
DEFAULT_RATE = 5.0  # frames a second


class FrameDisplay(App[None]):
    """An app that writes only the cells that changed. With another driver than ConsoleDriver, such as that of
    a test, it is an ordinary Textual app."""

    def __init__(self, capabilities: Capabilities, rate: float = DEFAULT_RATE) -> None:
        super().__init__()
        self.capabilities = capabilities
        self.pacing = FramePacing(rate)
        self._grid = CellGrid(capabilities.colors, choose_fallback(capabilities.glyphs))
        self._difference = FrameDifference(capabilities.erases_in_color)
        self._frame_due: asyncio.TimerHandle | None = None

    def get_driver_class(self) -> Any:
        """Use our driver where Textual would use that of Linux."""
        driver_class = super().get_driver_class()
        return ConsoleDriver if driver_class.__name__ == "LinuxDriver" else driver_class

    def _build_driver(self, *options: Any, **named_options: Any) -> Any:
        driver = super()._build_driver(*options, **named_options)
        if isinstance(driver, ConsoleDriver):
            driver.on_started = self.repaint
            driver.on_answer = self._note_line_answered
        return driver

    async def on_event(self, event: events.Event) -> None:
        """Note that a person is at the keys, or at the mouse."""
        if isinstance(event, events.InputEvent):
            self.pacing.note_key(time.monotonic())
        await super().on_event(event)

    @property
    def line_is_busy(self) -> bool:
        """Tell whether the line has not taken the last frame."""
        driver = self._driver
        return isinstance(driver, ConsoleDriver) and self.pacing.is_busy(time.monotonic(), driver.backlog)

    @property
    def is_frame_due(self) -> bool:
        """Tell whether something that was drawn is still to be written, or to be taken by the line."""
        return self._frame_due is not None or self.line_is_busy

    def repaint(self) -> None:
        """Write the whole screen again, whatever the terminal shows."""
        self._difference.forget()
        self.pacing.restart()
        self._show_frame()

    def send(self, sequence: str) -> None:
        """Write something that is not a frame, and moves nothing on the screen."""
        driver = self._driver
        if sequence and isinstance(driver, ConsoleDriver) and driver.active:
            driver.write(sequence)

    def action_repaint(self) -> None:
        """Write the whole screen again: something else has written to the terminal."""
        self.repaint()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Take what Textual has drawn; it is written when the line can take it."""
        is_own_output = isinstance(self._driver, ConsoleDriver) and isinstance(
            renderable, (LayoutUpdate, ChopsUpdate)
        )
        if not is_own_output:
            super()._display(screen, renderable)
            return
        try:
            if not self._batch_count and self._running and not self._closed:
                self._take(renderable)
                self.pacing.note_taken(time.monotonic())
                self._show_frame()
        except Exception as error:
            self._handle_exception(error)
        finally:
            self.post_display_hook()

    def _take(self, update: Any) -> None:
        size = self.screen.outer_size
        self._grid.resize(size.width, size.height)
        if isinstance(update, LayoutUpdate):
            for y, line in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in line:
                    self._grid.put(x, y, strip)
                    x += strip.cell_length
            return
        for y, begin, end in update.spans:
            for cut_end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x <= end and cut_end > begin:
                    self._grid.put(x, y, strip if cut_end <= end else strip.crop(0, end - x))

    def _show_frame(self) -> None:
        """Write the frame now, or when it may be."""
        driver = self._driver
        if not isinstance(driver, ConsoleDriver) or not driver.active or not self._running or self._closed:
            return
        wait_s = self.pacing.wait_s(time.monotonic(), driver.backlog)
        if wait_s == 0.0:
            self._write_frame(driver)
        elif self._frame_due is None:
            later = LOOK_AGAIN_S if wait_s is None else wait_s
            self._frame_due = asyncio.get_running_loop().call_later(later, self._show_due_frame)

    def _show_due_frame(self) -> None:
        self._frame_due = None
        self._show_frame()

    def _note_line_answered(self) -> None:
        self.pacing.note_answer(time.monotonic())
        if self._frame_due is not None:
            self._frame_due.cancel()
            self._show_due_frame()

    def _write_frame(self, driver: ConsoleDriver) -> None:
        if not self._grid.rows:
            return
        x, y = self.screen.outer_size.clamp_offset(self.cursor_position)
        frame = self._difference.write(self._grid, (x, y))
        if not frame:
            return
        if self.pacing.asks:
            driver.ask_for_cursor()
            frame += ASK_CURSOR
        driver.write(f"{SYNC_START}{frame}{SYNC_END}" if self._sync_available else frame)
        self.pacing.note_sent(time.monotonic())
