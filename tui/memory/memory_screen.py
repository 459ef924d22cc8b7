"""The memory screen: holders, accuracy of the estimates, what-if, and what the queue waits for."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import DeviceMemory, Forecast, MemoryNow
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.keys.key_declarations import EVERYWHERE, MEMORY, WHAT_IF
from tui.keys.key_definition import make_bindings
from tui.memory.device_memory_bars import DeviceMemoryBars
from tui.memory.estimate_accuracy import Accuracy
from tui.memory.memory_holders import list_fallback_devices
from tui.memory.queue_reasons import Waiting
from tui.memory.what_if_table import WhatIf
from tui.ui_messages import Supposed
from tui.widgets.cached_static import Sheet

PACE_S = 1.0  # between two weighings, while something changes
WIDE, WIDER = 100, 165  # columns from which parts stand in two and in three columns
TALL = 30  # lines from which there is room for the history
WEIGHING = "the engine is estimating …"


class MemoryScreen(StudyScreen):
    """Opens on top of any other screen. ``trial`` is the start of the what-if."""

    KEYS = (WHAT_IF, MEMORY)
    TOPIC = "memory"
    CRUMB = "memory"
    BINDINGS = make_bindings(MEMORY, EVERYWHERE)
    DEFAULT_CSS = """
    MemoryScreen #title {
        height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    MemoryScreen #page { height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    MemoryScreen.wide #page, MemoryScreen.wider #page { layout: grid; scrollbar-gutter: auto; }
    MemoryScreen Box { height: auto; scrollbar-gutter: auto; }
    MemoryScreen.wide #page { grid-size: 2; grid-rows: 1fr 10; grid-columns: 1fr 1fr; }
    MemoryScreen.wide Box, MemoryScreen.wider Box { height: 100%; scrollbar-gutter: stable; }
    MemoryScreen.wider #page { grid-size: 3; grid-rows: 1fr 2fr; grid-columns: 7fr 7fr 6fr; }
    MemoryScreen.wider DeviceMemoryBars, MemoryScreen.wider WhatIf { row-span: 2; }
    """

    def __init__(self, trial: int | None) -> None:
        super().__init__()
        self._trial = trial
        self._of = ""  # the study that all of this is about
        self._now: MemoryNow | None = None
        self._why = WEIGHING  # why there is no newer one
        self._weighed = -1  # version of the picture at the last estimate
        self._weigh = Latest(self._ask, self._take_now)
        self._foresee = Latest(self._ask, self._take_forecast)

    def compose(self) -> ComposeResult:
        """Title, four boxes, footer."""
        yield Sheet(id="title")
        with VerticalScroll(id="page", can_focus=False):
            yield DeviceMemoryBars("devices")
            yield WhatIf()
            yield Waiting("queue")
            yield Accuracy("estimated and measured")
        yield KeyBar()

    def on_mount(self) -> None:
        """Arrow keys go to the what-if at first; the page stays at its top."""
        super().on_mount()
        self.query_one(WhatIf).focus(scroll_visible=False)
        self.set_interval(PACE_S, self._draw_countdown)

    def find_selected_trial(self) -> s.Trial | None:
        """The trial that the what-if begins with."""
        return (
            self.study.trials.get(self._trial) if self.study is not None and self._trial is not None else None
        )

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the current state and request what is missing."""
        self._arrange()
        study, look, engine = self.study, self.console.look, self.console.engine
        self.query_one("#title", Sheet).draw(self._make_title())
        self.query_one("#page").display = study is not None
        if study is None:
            return
        if self._of != study.name:
            self._begin(study)
        devices, stale = self._list_devices(study), bool(engine.away)
        tall = self.size.height >= (TALL if self.size.width >= WIDE else 2 * TALL)
        self.query_one(DeviceMemoryBars).show(devices, study, engine.state.machine, look, tall, stale)
        queued = self._now.queued if self._now is not None else None
        self.query_one(Waiting).show(queued, self._describe_reason(), look, stale)
        self.query_one(Accuracy).show(study, devices, look)
        self.query_one(WhatIf).show(look)

    def _arrange(self) -> None:
        """Lay the parts out in one to three columns, and redraw them, as their lines depend on the width."""
        width = self.size.width
        width_class = "wider" if width >= WIDER else "wide" if width >= WIDE else "narrow"
        if not self.has_class(width_class):
            self.remove_class("wide", "wider", "narrow")
            self.add_class(width_class)
            self.call_after_refresh(self.show)

    def _make_title(self) -> Text:
        look, study, away = self.console.look, self.study, self.console.engine.away
        line = self.draw_breadcrumbs()
        if away:
            line.append(f"  {sanitize(away, 120)}", style=f"bold {look['error']}")
        elif study is None:
            line.append("  no study yet: `trimtab run SPEC` starts one", style=look["muted"])
        elif self._why and self._why != WEIGHING:
            line.append(f"  no estimate: {sanitize(self._why, 200)}", style=look["warning"])
        else:
            line.append("  trials at their peak, others at present", look["muted"])
        return line

    def _describe_reason(self) -> str:
        """Return why the engine's estimate is missing."""
        away = self.console.engine.away
        return "the engine is away" if away else self._why

    def _list_devices(self, study: s.Study) -> tuple[DeviceMemory, ...]:
        """Return the engine's estimate of the devices, else the console's own."""
        if self._now is not None and self._now.devices:
            return self._now.devices
        return tuple(
            list_fallback_devices(
                study,
                self.console.engine.state.machine,
                self._describe_reason() or "no trial runs on a device",
            )
        )

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _begin(self, study: s.Study) -> None:
        """Reset everything for another study."""
        self._of, self._now, self._why, self._weighed = study.name, None, WEIGHING, -1
        self._draw_countdown()
        self.action_reset()

    def _draw_countdown(self) -> None:
        """Request new estimates if the state changed and the screen is visible."""
        engine = self.console.engine
        is_seen = self.is_current and self.study is not None
        if not is_seen or self._weigh.busy or engine.version == self._weighed:
            return
        self._weighed = engine.version
        self.run_worker(
            self._weigh.send(console_api.WeighMemory(self._of)), group="weigh", exit_on_error=False
        )

    def _take_now(self, answer: console_api.Answer | None, why: str) -> None:
        if not self.is_attached:
            return
        before, failed, self._why = self._list_limits(), self._why not in ("", WEIGHING), why
        if isinstance(answer, MemoryNow):
            self._now = answer
            self.query_one(WhatIf).offer(tuple(device.label for device in answer.devices))
        if not why and (failed or (before and before != self._list_limits())):
            self._suppose()  # what fitted may not fit any more; what was not answered may be now
        self.show()

    def _list_limits(self) -> list[tuple[str, int | None]]:
        return (
            [(device.label, device.limit_bytes) for device in self._now.devices]
            if self._now is not None
            else []
        )

    def on_supposed(self, message: Supposed) -> None:
        """A value of the what-if changed."""
        self._suppose()

    def _suppose(self) -> None:
        what_if = self.query_one(WhatIf)
        what_if.wait()
        request = console_api.Foresee(self._of, self._trial, what_if.changes, what_if.pack, what_if.device)
        self.run_worker(self._foresee.send(request), group="foresee", exit_on_error=False)

    def _take_forecast(self, answer: console_api.Answer | None, why: str) -> None:
        if not self.is_attached:
            return
        what_if = self.query_one(WhatIf)
        what_if.take_answer(answer if isinstance(answer, Forecast) else None, why)
        what_if.show(self.console.look)

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Return to the previous screen."""
        self.dismiss()

    def action_memory(self) -> None:
        """Do nothing: the memory screen is already open."""

    def action_reset(self) -> None:
        """Reset the what-if to the trial's knobs."""
        if self.study is not None:
            if self.find_selected_trial() is None:
                self._trial = None
            self.query_one(WhatIf).begin(self.study, self.find_selected_trial())
            self._suppose()
            self.show()

    def action_neighbour(self, by: int) -> None:
        """The next or previous trial, as far as there is one."""
        self._trial = self.find_neighbour(self._trial, by)
        self.action_reset()

    def action_page(self, by: int) -> None:
        """Up and down the page."""
        page = self.query_one("#page")
        page.scroll_relative(y=by * max(1, page.size.height - 2), animate=False)
