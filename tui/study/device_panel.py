"""The devices panel: every card, then the host, and where there is room packs, processes and workers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.device_condition_text import explain_no_gpu
from tui.devices.card_lines import make_card_lines
from tui.devices.host_lines import make_host_line, make_host_lines, make_worker_line
from tui.number_text import format_size
from tui.study.pack_line import make_pack_line
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet


class DevicePanel(Sheet):
    """As many lines as fit; what is left out is said."""

    DEFAULT_CSS = """
    DevicePanel {
        height: 1fr;
        border: round $border; border-title-color: $text-muted; padding: 0 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    _read: tuple[object, ...] = ()

    def on_mount(self) -> None:
        """Its frame says what it is."""
        self.border_title = "devices"

    def show(self, machine: s.Machine, packs: Sequence[e.PackMeasured], look: Palette) -> None:
        """Draw the latest readings; the same ones cost nothing."""
        if self._read == (machine, packs, look, self.size):
            return
        self._read = (machine, packs, look, self.size)
        room = max(20, self.size.width), max(1, self.size.height)
        lines, left_out = make_panel_lines(machine, packs, *room, look)
        self.border_title = f"devices · +{left_out} more: d" if left_out else "devices"
        self.draw(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))


def make_panel_lines(
    machine: s.Machine, packs: Sequence[e.PackMeasured], width: int, height: int, look: Palette
) -> tuple[list[Text], int]:
    """At most ``height`` lines, and how many more there are. All cards first, with two lines each only where
    all else has its room."""
    if not machine.read_at:
        return [Text("reading the machine …", style=look["muted"])], 0
    rest = _make_rest(machine, packs, width, look)
    if not machine.devices:
        words = sanitize(explain_no_gpu(machine.why_none), 200)
        why = Text(words, style=look["muted"], no_wrap=True, overflow="ellipsis")
        cards = [why] if machine.why_none else []
    else:
        count = len(machine.devices)
        roomy = 1 + 2 * count + 2 + len(rest) <= height
        cards = make_card_lines(machine, width, 1 + 2 * count if roomy else min(1 + count, height - 1), look)
    room = height - len(cards)
    host = make_host_lines(machine, width, look)
    if room < len(host) + len(rest):
        host = [make_host_line(machine, width, look)]
    lines = [*cards, *host, *rest]
    return lines[:height], max(0, len(lines) - height)


def _make_rest(machine: s.Machine, packs: Sequence[e.PackMeasured], width: int, look: Palette) -> list[Text]:
    """Packs, processes on the cards, workers."""
    lines = [make_pack_line(pack, width, look) for pack in sorted(packs, key=lambda pack: pack.device)]
    for device in machine.devices:
        lines += [_describe_process(device, process, look) for process in device.processes]
    return [*lines, *(make_worker_line(worker, width, look) for worker in machine.workers)]


def _describe_process(device: e.Device, process: e.Process, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{device.index} ", style="bold")
    line.append(f"{format_size(process.used_bytes):>6} ")
    line.append(
        f"pid {process.pid} {sanitize(process.user, 10)} {sanitize(process.name, 40)}", style=look["muted"]
    )
    return line
