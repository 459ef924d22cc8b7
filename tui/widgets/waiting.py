"""Queued trials, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.foretold import Verdict
from core.contract.size import words
from tui.look import Palette
from tui.widgets.box import Box
from tui.widgets.folded import folded

SIGNS = {"info": ("✓", "good"), "warning": ("◷", "warning"), "error": ("⊘", "error")}


class Waiting(Box):
    """A verdict for each queued trial: fits, fits after another ends, never fits."""

    def show(self, queued: Sequence[Verdict] | None, why: str, look: Palette, stale: bool) -> None:
        """Draw ``queued``; None: not known, ``why`` says the reason. A ``stale`` list is dimmed."""
        if self.same(queued, why, look, stale):
            return
        lines: list[Text] = []
        for one in queued or ():
            lines += _verdict(one, self.room, look)
        if queued is None:
            lines = folded(why, self.room, look["muted"])
        elif not queued:
            lines = [Text("no trial is queued", style=look["muted"])]
        self.write(lines, stale)


def _verdict(one: Verdict, width: int, look: Palette) -> list[Text]:
    sign, meaning = SIGNS.get(one.level, SIGNS["info"])
    head = f"{sign} #{one.trial:<4}"
    needs = f"needs {words(one.needs_bytes)}" if one.needs_bytes > 0 else ""
    rows = folded(one.text, width - len(needs) - 1, look[meaning] if one.level != "info" else "", f"{head} ")
    rows[0].stylize(look[meaning], 0, len(sign))
    room = width - len(needs) - rows[0].cell_len
    if needs and room > 0:
        rows[0].append(" " * room + needs, style=look["muted"])
    return rows
