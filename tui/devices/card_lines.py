"""Draws cards as lines under column heads: two lines each, or one, or several cards in a line. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.events.event_types import Device
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.device_condition_text import (
    NOT_SLOW,
    describe_clock,
    describe_faults,
    describe_link,
    describe_nvlinks,
)
from tui.number_text import NOTHING, draw_bar, draw_sparkline, format_percent, format_size
from tui.theme_colors import Palette

WIDE, ROOMY = 84, 50  # cells from which bars are longer
CELL = 16  # cells of a card among others in a line
Part = tuple[str, str, str]  # the head, the text of the same width, its style


def shorten_name(name: str) -> str:
    """A card's name without its maker's."""
    return sanitize(name, 60).removeprefix("NVIDIA ").removeprefix("Tesla ")


def describe_slowness(device: Device) -> str:
    """Why its clock is held down; empty where it is not, and where the driver does not say."""
    reasons = device.slowed_by or ()
    return ", ".join(sanitize(reason, 30).replace("-", " ") for reason in reasons if reason not in NOT_SLOW)


def make_card_lines(machine: s.Machine, width: int, height: int, look: Palette) -> list[Text]:
    """All cards in at most ``height`` lines, the more of each the more room there is; what is left out is
    said."""
    devices = machine.devices
    if not devices or height < 1:
        return []
    if 1 + 2 * len(devices) <= height:
        return _make_table(machine, width, look, names=True)
    if 1 + len(devices) <= height:
        return _make_table(machine, width, look)
    if len(devices) <= height:
        return _make_table(machine, width, look)[1:]
    return _make_cells(machine, width, height, look)


def choose_heat_color(share: float | None, look: Palette) -> str:
    """The colour of how full something is."""
    full = share or 0.0
    return look["error"] if full > 0.92 else look["warning"] if full > 0.75 else look["good"]


def find_memory_share(device: Device) -> float | None:
    """How much of its memory is taken, 0 to 1."""
    return (
        device.used_bytes / device.total_bytes
        if device.used_bytes is not None and device.total_bytes
        else None
    )


def _make_table(machine: s.Machine, width: int, look: Palette, names: bool = False) -> list[Text]:
    """Heads, then a line for each card, with ``names`` a second one."""
    head, lines = Text(no_wrap=True), []
    for device in machine.devices:
        past = machine.past.get(str(device.index), s.Past())
        heads, line = _make_card(device, past, width, look, names, _measure_index(machine))
        if not device.fault and len(heads) > len(head.plain):
            head = Text(heads, style=look["muted"], no_wrap=True)
        lines += [line, _make_second_line(device, machine, look)] if names and not device.fault else [line]
    return [head, *lines]


def _measure_index(machine: s.Machine) -> int:
    return max(len(str(device.index)) for device in machine.devices)


def _make_card(
    device: Device, past: s.Past, width: int, look: Palette, named: bool, wide: int
) -> tuple[str, Text]:
    """Its heads and its line: what does not fit is left out from the right, never cut in the middle."""
    line = Text(f"{device.index:<{wide}} ", style="bold", no_wrap=True, overflow="ellipsis")
    if device.fault:
        line.append(sanitize(f"{device.fault} · {shorten_name(device.name)}", 160), style=look["error"])
        return "", line
    heads = " " * (wide + 1)
    length = 5 if width < ROOMY else 8 if width < WIDE else 14
    full, empty = draw_bar(find_memory_share(device), length)
    line.append(full, style=choose_heat_color(find_memory_share(device), look)).append(
        empty, style=look["muted"]
    )
    heads += f"{'memory':<{length}}"
    for label, text, style in _make_parts(device, past, width, look, named):
        if line.cell_len + len(text) > width:
            break
        line.append(text, style=style)
        heads += label
    return heads, line


def _make_parts(device: Device, past: s.Past, width: int, look: Palette, named: bool) -> list[Part]:
    used = f" {format_size(device.used_bytes) + '/' + format_size(device.total_bytes):>11}"
    parts = [
        (f"{'used/all':>12}", used, ""),
        ("  load", f" {format_percent(device.utilisation):>5}", look["primary"]),
        ("  temp", f" {_format_degrees(device.temperature_c):>5}", ""),
        ("     power", f" {_format_watts(device):>9}", ""),
    ]
    clock = getattr(device, "clock_mhz", None)
    if clock is not None:
        parts.append(("    clock", f" {f'{clock}MHz':>8}", ""))
    history = draw_sparkline(past.utilisation, min(16, width // 8), 0.0, 1.0)
    parts.append(
        (f" {'history' if len(history) > 6 else '':<{len(history)}}", f" {history}", look["primary"])
    )
    slow, name = describe_slowness(device), shorten_name(device.name)
    if slow and not named:
        parts.insert(4, ("  slowed by", f"  {slow}", look["warning"]))
    if not named:
        parts.append(("  name", f"  {name}", look["muted"]))
    return parts


def _make_second_line(device: Device, machine: s.Machine, look: Palette) -> Text:
    """What the card is, and why it is slow."""
    line = Text("  ", no_wrap=True, overflow="ellipsis")
    line.append(shorten_name(device.name), style=look["muted"])
    if device.parent:
        line.append(f" · MIG instance{_name_card(device, machine)}", style=look["muted"])
    if device.mig:
        count = sum(part.parent == device.uuid for part in machine.devices)
        line.append(f" · in MIG mode: {count} instances compute", style=look["muted" if count else "warning"])
    clock, link = describe_clock(device), describe_link(device)
    if clock:
        line.append(
            f"  {sanitize(clock, 120)}", style=look["warning" if describe_slowness(device) else "muted"]
        )
    if link:
        line.append(f"  {link}", style=look["muted"])
    if nvlinks := describe_nvlinks(device):
        style = look["muted" if device.nvlinks and device.nvlinks[0] == device.nvlinks[1] else "warning"]
        line.append(f"  {nvlinks}", style=style)
    if device.fan is not None:
        line.append(f"  fan {format_percent(device.fan)}", style=look["muted"])
    if device.memory_utilisation is not None:
        line.append(f"  memory busy {format_percent(device.memory_utilisation)}", style=look["muted"])
    for fault in describe_faults(device):
        line.append(f"  {sanitize(fault, 160)}", style=look["error"])
    return line


def _name_card(device: Device, machine: s.Machine) -> str:
    """Name the card that an instance is a part of."""
    cards = [card.index for card in machine.devices if card.uuid == device.parent]
    return f" of gpu {cards[0]}" if cards else ""


def _make_cells(machine: s.Machine, width: int, height: int, look: Palette) -> list[Text]:
    """Several cards in each line: index, a bar and the share of the memory, the load."""
    devices = machine.devices
    columns = max(1, width // CELL)
    room = columns * height
    shown_devices = devices if len(devices) <= room else devices[: room - 1]
    cells = [_make_cell(device, look) for device in shown_devices]
    if len(shown_devices) < len(devices):
        cells.append(Text(f"+{len(devices) - len(shown_devices)} more: d"[:CELL], style=look["warning"]))
    lines = []
    for first in range(0, len(cells), columns):
        line = Text(no_wrap=True)
        for cell in cells[first : first + columns]:
            cell.truncate(CELL - 1, pad=True)
            line.append_text(cell).append(" ")
        lines.append(line)
    return lines


def _make_cell(device: Device, look: Palette) -> Text:
    line = Text(f"{device.index} ", style="bold")
    if device.fault:
        return line.append(sanitize(device.fault, 40), style=look["error"])
    share = find_memory_share(device)
    full, empty = draw_bar(share, 3)
    line.append(full, style=choose_heat_color(share, look)).append(empty, style=look["muted"])
    line.append(f" {format_percent(share):>4}")
    return line.append(f" {format_percent(device.utilisation):>4}", style=look["primary"])


def _format_degrees(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}°C"


def _format_watts(device: Device) -> str:
    if device.power_w is None:
        return NOTHING
    return f"{device.power_w:.0f}W" + (f"/{device.power_limit_w:.0f}W" if device.power_limit_w else "")
