"""The memory bars of a study's devices: holders, limit, estimate and history."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import DeviceMemory
from tui.memory.estimate_accuracy import describe_error, find_relative_error, make_correction_line
from tui.memory.memory_history import draw_history
from tui.memory.memory_holders import (
    find_device,
    find_history,
    list_other_shares,
    list_own_shares,
    make_free_share,
)
from tui.memory.stacked_bar import Mark, draw_bar, draw_legend
from tui.number_text import format_percent
from tui.theme_colors import Palette
from tui.widgets.focus_box import Box
from tui.widgets.text_wrapping import wrap_text


class DeviceMemoryBars(Box):
    """One block per device: head, bar, legend, estimate and measurement, correction, history."""

    def show(
        self,
        devices: Sequence[DeviceMemory],
        study: s.Study,
        machine: s.Machine,
        look: Palette,
        tall: bool,
        stale: bool,
    ) -> None:
        """Draw ``devices``; ``tall`` leaves room for history, ``stale`` pictures are dimmed."""
        if self.is_unchanged(devices, study.packs, machine, look, tall, stale):
            return
        lines: list[Text] = []
        for device in devices:
            lines += [Text()] if lines and tall else []
            lines += _draw_device(device, study, machine, self.room, look, tall)
        if not devices:
            lines = [Text("no device has been read yet", style=look["muted"])]
        self.write(lines, stale)


def _draw_device(
    now: DeviceMemory, study: s.Study, machine: s.Machine, width: int, look: Palette, tall: bool
) -> list[Text]:
    own = list_own_shares(now, study)
    shares = [*own, *list_other_shares(now.label, study, machine, own)]
    marks = list_limits(now.limit_bytes, now.total_bytes, sum(share.used_bytes for share in shares))
    lines = [_make_head(now, machine, width, look)]
    lines += draw_bar(shares, now.total_bytes, marks, width, look, rows=2 if tall else 1)
    lines += draw_legend([*shares, make_free_share(shares, now.total_bytes)], width, 24 if tall else 5, look)
    lines += _make_estimate_lines(now, width, look, tall)
    if tall:
        past = find_history(now.label, machine)
        lines += draw_history(past.used, now.total_bytes, now.limit_bytes, (width, 5), look)
    return lines


def list_limits(limit_bytes: int | None, total_bytes: int, asked_bytes: int) -> list[Mark]:
    """The limit, and the device's end where more than the device is asked for."""
    marks = [] if limit_bytes is None else [Mark(limit_bytes, f"limit {format_bytes(limit_bytes)}", "limit")]
    if asked_bytes > total_bytes > 0:
        marks.append(Mark(total_bytes, f"device {format_bytes(total_bytes)}", "muted"))
    return marks


def _make_head(now: DeviceMemory, machine: s.Machine, width: int, look: Palette) -> Text:
    card = find_device(now.label, machine)
    reading = card if card is not None else machine.host if now.label == "cpu" else None
    used, total = (reading.used_bytes if reading is not None else None), now.total_bytes
    line = Text(sanitize(now.label, 12), style="", no_wrap=True, overflow="ellipsis")
    line.stylize("bold")
    if used is not None and total > 0:
        line.append(f"  {format_bytes(used)} of {format_bytes(total)} in use, {format_percent(used / total)}")
    elif total > 0:
        line.append(f"  {format_bytes(total)}")
    name = card.name if card is not None else "the host's memory" if now.label == "cpu" else ""
    line.append(f"  {sanitize(name, 40)}", style=look["muted"])
    if card is not None and card.fault:
        line.append(f"  {sanitize(card.fault, 80)}", style=look["error"])
    return line


def _make_estimate_lines(now: DeviceMemory, width: int, look: Palette, tall: bool) -> list[Text]:
    """Return estimate and measurement, or why there is none; the limit's reason; the correction if there is
    room, as the table of trials shows it too."""
    is_known = now.foretold is not None or now.measured_bytes is not None
    lines = [_make_estimate_line(now, width, look)] if is_known else []
    if now.why_not:
        lines += wrap_text(now.why_not, width, look["warning"], "no estimate: ")
    for note in now.foretold.notes if now.foretold is not None else ():
        lines += wrap_text(note, width, look["warning"], "less accurate: ")
    if now.why_limit:
        lines += wrap_text(now.why_limit, width, look["muted"], "limit: ")
    if now.learnt_from and tall:
        lines.append(make_correction_line(now, look))
    return lines


def _make_estimate_line(now: DeviceMemory, width: int, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    peak = now.foretold.peak_bytes if now.foretold is not None else None
    if peak is not None:
        line.append(f"estimate {format_bytes(peak)}")
    if now.measured_bytes is not None:
        line.append(f"{' · ' if peak is not None else ''}measured {format_bytes(now.measured_bytes)}")
    else:
        line.append(" · not measured yet", style=look["muted"])
    share = find_relative_error(peak, now.measured_bytes)
    if share is not None:
        text, meaning = describe_error(share)
        line.append(f"  {text}", style=look[meaning])
    if now.foretold is not None:
        moment = f"  at {sanitize(now.foretold.moment, 40)}"
        line.append(moment if line.cell_len + len(moment) <= width else "", style=look["muted"])
    return line
