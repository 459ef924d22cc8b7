"""Draws the host and its workers as lines: CPU, memory, disk, network. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.events.event_types import Worker
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.devices.card_lines import choose_heat_color
from tui.number_text import NOTHING, draw_bar, draw_sparkline, format_percent, format_size
from tui.theme_colors import Palette

SHORTEST = 4  # cells of a history that says something


def make_host_line(machine: s.Machine, width: int, look: Palette) -> Text:
    """All in one line; what does not fit is left out from the right."""
    host = machine.host
    share = _find_share(machine)
    line = Text(no_wrap=True, overflow="ellipsis")
    for text, style in (
        ("cpu ", look["muted"]),
        (f"{format_percent(host.cpu)} of {host.cores}", choose_heat_color(host.cpu, look)),
        ("  ram ", look["muted"]),
        (f"{format_size(host.used_bytes)}/{format_size(host.total_bytes)}", choose_heat_color(share, look)),
        (f"  disk {format_size(host.disk_free_bytes)} free", look["muted"]),
        (_format_net(machine), look["muted"]),
    ):  # fmt: skip
        if line.cell_len + len(text) > width:
            break
        line.append(text, style=style)
    return line


def make_host_lines(machine: s.Machine, width: int, look: Palette) -> list[Text]:
    """CPU with its history, and memory with disk and network."""
    host, share = machine.host, _find_share(machine)
    past = machine.past.get("host", s.Past())
    room = 8 if width < 60 else 16
    cpu, ram = Text(no_wrap=True, overflow="ellipsis"), Text(no_wrap=True, overflow="ellipsis")
    cores = f"{format_percent(host.cpu)} of {host.cores} cores"
    _add_gauge(cpu, "cpu", host.cpu, f"{cores:<16}", room, look)
    cells = min(24, width - cpu.cell_len)
    if cells >= SHORTEST:
        cpu.append(draw_sparkline(past.utilisation, cells, 0.0, 1.0), style=look["primary"])
    _add_gauge(
        ram, "ram", share, f"{format_size(host.used_bytes)}/{format_size(host.total_bytes)}", room, look
    )
    total = f" of {format_size(host.disk_total_bytes)}" if host.disk_total_bytes else ""
    for text in (f"  disk {format_size(host.disk_free_bytes)} free", total, _format_net(machine)):
        if ram.cell_len + len(text) > width:
            break
        ram.append(text, style=look["muted"])
    return [cpu, ram]


def make_worker_line(worker: Worker, width: int, look: Palette) -> Text:
    """One worker process; what does not fit is left out from the right."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"worker {sanitize(worker.name, 20)} ", style=look["muted"])
    line.append(f"{format_size(worker.rss_bytes)}")
    cpu = NOTHING if worker.cpu is None else f"{worker.cpu:.1f}"
    for text in (f"  {cpu} cores", f"  pid {worker.pid}"):
        if line.cell_len + len(text) > width:
            break
        line.append(text, style=look["muted"])
    return line


def _find_share(machine: s.Machine) -> float | None:
    host = machine.host
    return host.used_bytes / host.total_bytes if host.used_bytes is not None and host.total_bytes else None


def _format_net(machine: s.Machine) -> str:
    host = machine.host
    if host.received_bytes_s is None and host.sent_bytes_s is None:
        return ""
    return f"  net ↓{format_size(host.received_bytes_s)}/s ↑{format_size(host.sent_bytes_s)}/s"


def _add_gauge(line: Text, label: str, share: float | None, words: str, width: int, look: Palette) -> None:
    full, empty = draw_bar(share, width)
    line.append(f"{label} ", style=look["muted"])
    line.append(full, style=choose_heat_color(share, look))
    line.append(empty, style=look["muted"])
    line.append(f" {words}")
