"""Shows the loading stages before the first step, with progress and duration."""

from __future__ import annotations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.number_text import draw_bar, format_duration
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Preparing(Sheet):
    """One line per worker that prepares; gone when none does."""

    DEFAULT_CSS = """
    Preparing {
        height: auto; max-height: 4; padding: 0 1; background: $panel; display: none;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def show(self, study: s.Study | None, now: float, look: Palette) -> None:
        """Draw what the study's workers are waiting for."""
        waiting = dict(study.preparing) if study is not None and study.state in s.LIVE_STUDY else {}
        self.display = bool(waiting)
        if not waiting:
            return
        self.draw(
            Text("\n", no_wrap=True, overflow="ellipsis").join(
                _make_line(preparation, now, look) for preparation in waiting.values()
            )
        )


def _make_line(preparation: s.Preparation, now: float, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{SPINNER[int(now * 5) % len(SPINNER)]} ", style=look["accent"])
    line.append(sanitize(preparation.stage, 60), style="bold")
    if preparation.total:
        full, empty = draw_bar(preparation.done / preparation.total, 20)
        line.append("  ")
        line.append(full, style=look["accent"])
        line.append(empty, style=look["muted"])
        line.append(f" {preparation.done}/{preparation.total} {sanitize(preparation.unit, 12)}")
    line.append(f"  {format_duration(max(0.0, now - preparation.since))}", style=look["muted"])
    return line
