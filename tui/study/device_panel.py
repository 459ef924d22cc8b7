"""The machine panel: memory, load, power and temperature of each GPU; packs, host and workers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from tui.number_text import NOTHING, bar, percent, size, sparkline
from tui.study.pack_line import pack_line
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet


class DevicePanel(Sheet):
    """As many lines as fit: cards first, then the packs and who else is on them, then the host."""

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
        width, height = max(20, self.size.width), max(1, self.size.height)
        lines: list[Text] = []
        for device in machine.devices:
            past = machine.past.get(str(device.index), s.Past())
            lines.append(_card(device, past, width, look))
        if not machine.devices and machine.why_none:
            lines.append(
                Text(plain(machine.why_none, 200), style=look["muted"], no_wrap=True, overflow="ellipsis")
            )
        lines += [pack_line(pack, width, look) for pack in sorted(packs, key=lambda pack: pack.device)]
        for device in machine.devices:
            lines += [_process(device, process, width, look) for process in device.processes]
        if not machine.read_at:
            lines = [Text("reading the machine …", style=look["muted"])]
        else:
            lines += _host(machine, width, look)
        self.draw(Text("\n", no_wrap=True, overflow="ellipsis").join(lines[:height]))


def _gauge(
    line: Text, label: str, share: float | None, words: str, width: int, colour: str, look: Palette
) -> None:
    full, empty = bar(share, width)
    line.append(f"{label} ", style=look["muted"])
    line.append(full, style=colour)
    line.append(empty, style=look["muted"])
    line.append(f" {words}")


def _heat(share: float | None, look: Palette) -> str:
    return (
        look["error"]
        if share and share > 0.92
        else look["warning"]
        if share and share > 0.75
        else look["good"]
    )


def _card(device: e.Device, past: s.Past, width: int, look: Palette) -> Text:
    """One GPU: what does not fit is left out from the right, never cut in the middle."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{device.index} ", style="bold")
    if device.fault:
        line.append(plain(f"{device.fault} · {device.name}", 160), style=look["error"])
        return line
    used, total = device.used_bytes, device.total_bytes
    share = used / total if used is not None and total else None
    full, empty = bar(share, 5 if width < 50 else 8 if width < 84 else 14)
    line.append(full, style=_heat(share, look))
    line.append(empty, style=look["muted"])
    line.append(f" {size(used) + '/' + size(total):>11}")
    line.append(f" {percent(device.utilisation):>4}", style=look["primary"])
    history = sparkline(past.utilisation, min(16, width // 8), 0.0, 1.0)
    for part, style in (
        (f" {_degrees(device.temperature_c):>5}", ""),
        (f" {_watts(device):>9}", ""),
        (f" {history}", look["primary"]),
        (f"  {plain(device.name, 30)}", look["muted"]),
    ):
        if line.cell_len + len(part) > width:
            break
        line.append(part, style=style)
    return line


def _degrees(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}°C"


def _watts(device: e.Device) -> str:
    if device.power_w is None:
        return NOTHING
    return f"{device.power_w:.0f}W" + (f"/{device.power_limit_w:.0f}W" if device.power_limit_w else "")


def _process(device: e.Device, process: e.Process, width: int, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{device.index} ", style="bold")
    line.append(f"{size(process.used_bytes):>6} ")
    line.append(f"pid {process.pid} {plain(process.user, 10)} {plain(process.name, 40)}", style=look["muted"])
    return line


def _host(machine: s.Machine, width: int, look: Palette) -> list[Text]:
    host = machine.host
    share = host.used_bytes / host.total_bytes if host.used_bytes is not None and host.total_bytes else None
    past = machine.past.get("host", s.Past())
    room = 8 if width < 60 else 16
    cpu, ram = Text(no_wrap=True, overflow="ellipsis"), Text(no_wrap=True, overflow="ellipsis")
    cores = f"{percent(host.cpu)} of {host.cores} cores"
    _gauge(cpu, "cpu", host.cpu, f"{cores:<16}", room, _heat(host.cpu, look), look)
    cpu.append(
        sparkline(past.utilisation, max(4, min(24, width - room - 26)), 0.0, 1.0), style=look["primary"]
    )
    _gauge(
        ram, "ram", share, f"{size(host.used_bytes)}/{size(host.total_bytes)}", room, _heat(share, look), look
    )
    ram.append(f"  disk {size(host.disk_free_bytes)} free", style=look["muted"])
    return [cpu, ram, *(_worker(worker, look) for worker in machine.workers)]


def _worker(worker: e.Worker, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"worker {plain(worker.name, 20)} ", style=look["muted"])
    line.append(f"{size(worker.rss_bytes)}")
    cpu = NOTHING if worker.cpu is None else f"{worker.cpu:.1f}"
    line.append(f"  {cpu} cores  pid {worker.pid}", style=look["muted"])
    return line
