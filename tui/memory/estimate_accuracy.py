"""The table of estimated and measured memory per trial, and the learnt correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import DeviceMemory
from tui.number_text import GLYPHS, NOTHING
from tui.theme_colors import Palette
from tui.widgets.focus_box import Box
from tui.widgets.text_wrapping import wrap_text

FAR = 0.08  # a relative error above it is coloured
LESSON = "a trial is estimated before it starts and measured while it runs"


def find_relative_error(estimated: int | None, measured: int | None) -> float | None:
    """Return the relative error of the estimate; negative where it is too low."""
    if estimated is None or not measured or measured <= 0:
        return None
    return (estimated - measured) / measured


def describe_error(share: float) -> tuple[str, str]:
    """Format such as "+2 %", with a sign for large errors. Too low is worse: it can run out of memory."""
    text = f"{100 * share:+.0f} %"
    if abs(share) <= FAR:
        return f"{text}  ", "good"
    return (f"{text} ▼", "error") if share < 0 else (f"{text} ▲", "warning")


def make_correction_line(now: DeviceMemory, look: Palette) -> Text:
    """Describe a device's correction and its number of measurements."""
    noun = "measurement" if now.learnt_from == 1 else "measurements"
    factor = f"{now.correction:.2f}" if math.isfinite(now.correction) else NOTHING
    line = Text(f"{sanitize(now.label, 12)} learnt: ", style=look["muted"], no_wrap=True, overflow="ellipsis")
    line.append(f"activations × {factor}", style=look["info"])
    line.append(f", from {now.learnt_from} {noun}", style=look["muted"])
    return line


class Accuracy(Box):
    """One row for each trial that was estimated or measured, newest first."""

    def show(self, study: s.Study, devices: Sequence[DeviceMemory], look: Palette) -> None:
        """Draw the study's trials."""
        weighed = [
            (trial.number, trial.state, trial.foretold_bytes, trial.measured_bytes)
            for trial in reversed(study.trials.values())
            if trial.foretold_bytes is not None or trial.measured_bytes is not None
        ]
        lessons = [(device.label, device.correction, device.learnt_from) for device in devices]
        if self.is_unchanged(weighed, lessons, look):
            return
        lines = [_summarize([find_relative_error(*row[2:]) for row in weighed], look)] if weighed else []
        lines += _describe_lessons(devices, look)
        if weighed:
            lines.append(
                Text(f"{'#':>4}  {'state':<12}{'estimate':>10}{'measured':>10}      off", style="bold")
            )
            lines += [_make_row(*row, look) for row in weighed]
        else:
            lines += wrap_text(f"no trial has been estimated yet: {LESSON}", self.room, look["muted"])
        self.write(lines)


def _summarize(errors: Sequence[float | None], look: Palette) -> Text:
    sizes = [abs(share) for share in errors if share is not None]
    if not sizes:
        return Text("none of them is measured yet", style=look["muted"])
    worst = max(sizes)
    line = Text(f"{len(sizes)} measured: median {100 * median(sizes):.0f} % off, ", style=look["muted"])
    line.append(f"worst {100 * worst:.0f} %", style=look["warning" if worst > FAR else "good"])
    return line


def _describe_lessons(devices: Sequence[DeviceMemory], look: Palette) -> list[Text]:
    lines = [make_correction_line(device, look) for device in devices if device.learnt_from]
    return lines or [Text("no correction learnt yet", style=look["muted"])]


def _make_row(number: int, state: str, estimated: int | None, measured: int | None, look: Palette) -> Text:
    line = Text(f"{number:>4}  ", no_wrap=True, overflow="ellipsis")
    line.append(f"{GLYPHS[state]} {state:<10}", style=look[state])
    for size in (estimated, measured):
        line.append(f"{format_bytes(size) if size is not None else NOTHING:>10}")
    share = find_relative_error(estimated, measured)
    text, meaning = describe_error(share) if share is not None else (f"{NOTHING}  ", "muted")
    line.append(f"{text:>9}", style=look[meaning])
    return line
