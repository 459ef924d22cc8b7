"""Numbers as people read them: short, aligned, and always of the same width class. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "–"
GLYPHS = {
    "queued": "○",
    "starting": "◔",
    "running": "●",
    "paused": "‖",
    "complete": "✓",
    "pruned": "×",
    "failed": "!",
    "infeasible": "⊘",
}
ASKED = {"pause": "pausing…", "resume": "resuming…", "prune": "pruning…"}


def format_duration(seconds: float | None) -> str:
    """Such as 8s, 3m12s, 2h05m, 4d03h; a dash for None."""
    if seconds is None or seconds < 0 or not math.isfinite(seconds):
        return NOTHING
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded}s"
    if rounded < 3600:
        return f"{rounded // 60}m{rounded % 60:02d}s"
    if rounded < 86_400:
        return f"{rounded // 3600}h{rounded % 3600 // 60:02d}m"
    return f"{rounded // 86_400}d{rounded % 86_400 // 3600:02d}h"


def format_size(count: float | None) -> str:
    """Bytes with a binary unit and three digits: 512B, 1.50G, 23.9G; a dash for None."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in "BKMGT":
        if abs(value) < 1024 or unit == "T":
            break
        value /= 1024
    digits = 0 if unit == "B" or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}{unit}"


def format_short(count: float | None) -> str:
    """A count with one digit after the point and its thousands: 950, 15.2k, 1.3M; a dash for None."""
    if count is None or not math.isfinite(count):
        return NOTHING
    for unit, step in (("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * step:
            return f"{count / step:.1f}{unit}"
    return f"{count:.0f}"


def format_number(value: object) -> str:
    """A float with four significant digits, an int whole, a list joined; a dash for None."""
    if value is None:
        return NOTHING
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if abs(value) < 1e4 and value == int(value):  # nan and inf fail the first
            return f"{value:.0f}"
        return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")
    if isinstance(value, list | tuple):
        return "+".join(format_number(item) for item in value)
    return str(value)


def is_whole(value: float) -> bool:
    """Tell whether a value is a whole number, but for rounding."""
    return abs(value - round(value)) < 1e-6


def format_loss(value: float | None) -> str:
    """A metric in a column: five characters for the common range."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.3f}" if 0.001 <= abs(value) < 100 else format_number(value)


def format_percent(share: float | None) -> str:
    """A share of 1 as 7% or 100%; a dash for None."""
    return NOTHING if share is None else f"{100 * share:.0f}%"


def draw_bar(share: float | None, width: int) -> tuple[str, str]:
    """The full and the empty part of a bar of ``width`` cells, in eighths of a cell."""
    eighths = round(min(1.0, max(0.0, share or 0.0)) * width * 8)
    full = "█" * (eighths // 8)
    if eighths % 8 and len(full) < width:
        full += "▏▎▍▌▋▊▉"[eighths % 8 - 1]
    return full, "░" * (width - len(full))


def draw_sparkline(
    values: Sequence[float | None], width: int, low: float | None = None, high: float | None = None
) -> str:
    """The last part of ``values`` in ``width`` cells; missing ones are blank. Scaled to its own range
    unless ``low`` and ``high`` fix it."""
    thinned = _thin(list(values), width)
    finite = [value for value in thinned if value is not None and math.isfinite(value)]
    if not finite:
        return " " * width
    bottom = min(finite) if low is None else low
    top = max(finite) if high is None else high
    return "".join(_choose_block(value, bottom, top) for value in thinned).rjust(width)


def _choose_block(value: float | None, bottom: float, top: float) -> str:
    if value is None or not math.isfinite(value):
        return " "
    share = (value - bottom) / (top - bottom) if top > bottom else 0.0
    return BLOCKS[min(7, max(0, int(share * 8)))]


def _thin(values: list[float | None], width: int) -> list[float | None]:
    """At most ``width`` values: the mean of each stretch."""
    if len(values) <= width:
        return values
    thinned: list[float | None] = []
    for cell in range(width):
        part = values[cell * len(values) // width : (cell + 1) * len(values) // width]
        finite = [value for value in part if value is not None and math.isfinite(value)]
        thinned.append(sum(finite) / len(finite) if finite else None)
    return thinned


def smooth_values(values: Sequence[float], weight: float = 0.9) -> list[float]:
    """An exponential moving average that starts unbiased (Kingma & Ba 2015, section 3)."""
    smoothed, mean, power = [], 0.0, 1.0
    for value in values:
        mean = weight * mean + (1 - weight) * value
        power *= weight
        smoothed.append(mean / (1 - power))
    return smoothed
