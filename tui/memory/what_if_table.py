"""The what-if: a table of knobs that arrow keys change, and the memory they would use."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events

from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import Forecast
from tui.keys.key_declarations import WHAT_IF
from tui.keys.key_definition import make_bindings
from tui.memory.bar_segments import group_by_kind
from tui.memory.device_memory_bars import list_limits
from tui.memory.stacked_bar import draw_bar, draw_legend
from tui.memory.what_if_knobs import DEVICE, PACK, ROWS, begin, find_changes, step_value
from tui.number_text import format_number
from tui.theme_colors import Palette
from tui.ui_messages import Supposed
from tui.widgets.focus_box import Box
from tui.widgets.text_wrapping import wrap_text

SLOW_S = 0.25  # an answer within it changes the picture at once; only then is the old one dimmed
HEAD = 3  # lines above the rows: verdict, bar, marks
NAME, VALUE = 25, 18  # cells
SHOWN = {True: "on", False: "off"}


class WhatIf(Box):
    """Posts Supposed when a value changed. The last answer stays, dimmed, until the next arrives."""

    BINDINGS = make_bindings(WHAT_IF)

    def __init__(self, **options: object) -> None:
        super().__init__("what if", **options)
        self._start: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._devices: tuple[str, ...] = ()
        self._cursor = 0
        self._forecast: Forecast | None = None
        self._why = ""
        self._waiting = self._late = False
        self._look: Palette | None = None

    # -- what is supposed -------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Has it begun?"""
        return bool(self._start)

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows; the device is one where there are several."""
        return (*ROWS, DEVICE) if len(self._devices) > 1 else ROWS

    @property
    def changes(self) -> dict[str, Any]:
        """The knobs that differ from where it began."""
        return find_changes(self._start, self._values)

    @property
    def pack(self) -> int:
        """Trials at once."""
        return int(self._values.get(PACK, 1))

    @property
    def device(self) -> str:
        """The device in question; empty leaves it to the engine."""
        return str(self._values.get(DEVICE, "")) if len(self._devices) > 1 else ""

    def begin(self, study: s.Study, trial: s.Trial | None) -> None:
        """Start again from ``trial``, or from the study's own knobs."""
        self._start = begin(study, trial)
        self._start[DEVICE] = trial.device if trial is not None else ""
        self._values = dict(self._start)
        self.border_title = f"what if · trial {trial.number}" if trial is not None else "what if"
        self.offer(self._devices)

    def offer(self, devices: tuple[str, ...]) -> None:
        """The devices there are."""
        self._devices = devices
        self._cursor = min(self._cursor, len(self.rows) - 1)
        for sheet in (self._start, self._values):
            if sheet and sheet.get(DEVICE) not in devices and devices:
                sheet[DEVICE] = devices[0]

    # -- answers ----------------------------------------------------------------------------------

    def wait(self) -> None:
        """Mark a query as in flight."""
        if not self._waiting:
            self._waiting = True
            self.set_timer(SLOW_S, self._dim_answer)

    def _dim_answer(self) -> None:
        if self._waiting and self._look is not None:
            self._late = True
            self.show(self._look)

    def take_answer(self, forecast: Forecast | None, why: str) -> None:
        """Take the newest query's answer, or the reason why there is none."""
        self._waiting = self._late = False
        self._forecast, self._why = forecast or self._forecast, why

    # -- drawing ----------------------------------------------------------------------------------

    def show(self, look: Palette) -> None:
        """Draw rows and forecast if they changed."""
        self._look = look
        inputs = (dict(self._values), dict(self._start), self._devices, self._cursor, self.has_focus)
        if self.is_unchanged(inputs, self._forecast, self._why, self._late, look):
            return
        above, below = self._draw_picture(look)
        if self._late or self._why:
            for line in (*above, *below):
                line.stylize("dim")
        if self._why:
            above[0] = Text(f"unknown: {sanitize(self._why, 300)}", style=look["warning"])
        rows = [self._make_row(place, name, look) for place, name in enumerate(self.rows)]
        reason = wrap_text(self._why, self.room, look["warning"]) if len(self._why) + 11 > self.room else []
        self.write([*above, *rows, *reason, *below])

    def _draw_picture(self, look: Palette) -> tuple[list[Text], list[Text]]:
        """Return HEAD lines above the rows, and the lines below."""
        if self._forecast is None:
            empty = Text("" if self._why else "asking the engine …", style=look["muted"])
            return [empty, Text(), Text()], []
        estimate, limit = self._forecast.foretold, self._forecast.limit_bytes
        shares = group_by_kind(estimate)
        marks = list_limits(limit, self._forecast.total_bytes, estimate.device_bytes)
        bar = draw_bar(shares, self._forecast.total_bytes, marks, self.room, look)
        below = draw_legend(shares, self.room, 12, look)
        below += wrap_text(f"peak at {estimate.moment}", self.room, look["muted"])
        for note in estimate.notes:
            below += wrap_text(note, self.room, look["warning"], "less accurate: ")
        for advice in self._forecast.advice:
            below += wrap_text(advice, self.room, look["info"], "→ ")
        return [_describe_verdict(self._forecast, look), *bar, Text()][:HEAD], [Text(), *below]

    def _make_row(self, place: int, name: str, look: Palette) -> Text:
        is_cursor, value, before = place == self._cursor, self._values[name], self._start[name]
        value_text = sanitize(
            format_number(SHOWN.get(value, value) if isinstance(value, bool) else value), VALUE - 4
        )
        line = Text(f"{'▸' if is_cursor else ' '} {name:<{NAME - 2}}", no_wrap=True, overflow="ellipsis")
        line.append(
            f"{'◂' if is_cursor else ' '} {value_text} {'▸' if is_cursor else ' '}".ljust(
                min(VALUE, self.room - NAME)
            )
        )
        if is_cursor:
            line.stylize(f"bold {look.cursor}" if self.has_focus else "bold")
        if value != before:
            old_text = SHOWN[before] if isinstance(before, bool) else format_number(before)
            line.append(f" was {sanitize(old_text, 20)}", style=look["accent"])
        return line

    # -- keys and mouse ---------------------------------------------------------------------------

    def action_row(self, by: int) -> None:
        """The next or previous row."""
        self._choose(self._cursor + by)

    def _choose(self, place: int) -> None:
        self._cursor = max(0, min(len(self.rows) - 1, place))
        self._redraw()
        self.scroll_to(y=0, animate=False)
        self.scroll_visible(animate=False)  # of the page, where the parts stand below each other

    def action_value(self, by: int) -> None:
        """The next or previous value of the row."""
        if not self.ready:
            return
        name = self.rows[self._cursor]
        value = step_value(name, self._values[name], by, self._devices)
        if value != self._values[name]:
            self._values[name] = value
            self._redraw()
            self.scroll_visible(animate=False)
            self.post_message(Supposed())

    def _redraw(self) -> None:
        if self._look is not None and self.ready:
            self.show(self._look)

    def on_focus(self) -> None:
        """The cursor shows that arrow keys go here."""
        self._redraw()

    def on_blur(self) -> None:
        """The cursor steps back."""
        self._redraw()

    def on_click(self, event: events.Click) -> None:
        """A click chooses a row."""
        place = event.screen_y - self._sheet.region.y - HEAD
        if 0 <= place < len(self.rows):
            self._choose(place)


def _describe_verdict(forecast: Forecast, look: Palette) -> Text:
    """Such as "does not fit: 14.2 GiB of 11.0 GiB"."""
    room = forecast.limit_bytes if forecast.limit_bytes is not None else forecast.total_bytes
    sign, verdict, meaning = ("✓", "fits", "good") if forecast.fits else ("⊘", "does not fit", "error")
    line = Text(f"{sign} {verdict}", style="", no_wrap=True, overflow="ellipsis")
    line.stylize(f"bold {look[meaning]}")
    line.append(f": {format_bytes(forecast.foretold.device_bytes)} of {format_bytes(room)}", style="bold")
    unlimited = " of the device, limit unknown" if forecast.limit_bytes is None else ""
    line.append(f"{unlimited}  on {sanitize(forecast.device, 12)}", style=look["muted"])
    return line
