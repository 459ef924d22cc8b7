"""One line on a worker's pack: how many trials at once, how fast, and what base and trials hold. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.events.event_types import PackMeasured
from core.contract.text.sanitize import sanitize
from tui.number_text import format_short, format_size
from tui.theme_colors import Palette

ONE_AFTER_ANOTHER = "{} trials, one after another"
INDEX = 2  # cells of the card before it
REASON = 24  # cells of a reason that can be understood
ROOMY = 50  # cells from which there is room for words


def make_pack_line(pack: PackMeasured, width: int, look: Palette) -> Text:
    """The longest form that fits into ``width`` cells: the bytes go first, nothing is cut in the middle but
    the reason why trials train one after another, which stands last."""
    index = f"{sanitize(pack.device.removeprefix('gpu'), 8)} " if pack.device.startswith("gpu") else ""
    for parts in _list_forms(pack, width):
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(index, style="bold")
        for text, meaning in parts:
            line.append(text, style=look[meaning] if meaning else "")
        if line.cell_len <= width or pack.why_alone:
            break
    return line


def _list_forms(pack: PackMeasured, width: int) -> list[list[tuple[str, str]]]:
    count, speed = pack.trials, f"{format_short(pack.tokens / pack.round_s if pack.round_s else None)} tok/s"
    if pack.why_alone:
        why = sanitize(pack.why_alone, 200)
        words = ONE_AFTER_ANOTHER.format(count) if count > 1 else "1 trial"
        roomy = [("pack ", "muted"), (words, "warning"), (f" · {speed}", "")]
        left = width - INDEX - sum(len(text) for text, _ in roomy)
        if left >= min(len(why) + 3, REASON):
            roomy.append((f" · {why}", "muted"))
        return [roomy if width >= ROOMY else [("not packed: ", "warning"), (why, "muted")]]
    held_bytes = sum(pack.trial_bytes.values())
    base, trial_size = format_size(pack.base_bytes), format_size(held_bytes / max(1, len(pack.trial_bytes)))
    noun, parts = "trial" if count == 1 else "trials", f"{len(pack.trial_bytes)} × {trial_size}"
    head = ("pack ", "muted")
    return [
        [head, (f"{count} {noun}", ""), (f" · {speed}", "primary"), (f" · base {base} + {parts}", "muted")],
        [head, (f"{count}", ""), (f" · {speed}", "primary"), (f" · {base} + {parts}", "muted")],
        [head, (f"{count}", ""), (f" {speed}", "primary"), (f" {base}+{format_size(held_bytes)}", "muted")],
        [head, (f"{count}", ""), (f" {speed}", "primary")],
        [head, (f"{count}", "")],
    ]
