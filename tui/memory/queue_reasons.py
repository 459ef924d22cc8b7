"""The list of queued trials with the reason why each waits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.text import Text

from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import Verdict
from tui.theme_colors import Palette
from tui.widgets.focus_box import Box
from tui.widgets.text_wrapping import LONGEST, wrap_text

FEW = 3  # neighbours of one verdict that have a line each
SIGNS = {"info": ("✓", "good"), "warning": ("◷", "warning"), "error": ("⊘", "error")}


class Waiting(Box):
    """A verdict for each queued trial: fits, fits after another ends, never fits."""

    def show(self, queued: Sequence[Verdict] | None, why: str, look: Palette, stale: bool) -> None:
        """Draw ``queued``; None: not known, ``why`` says the reason. A ``stale`` list is dimmed."""
        if self.is_unchanged(queued, why, look, stale):
            return
        lines: list[Text] = []
        for _, alike in groupby(queued or (), key=lambda verdict: (verdict.text, verdict.level)):
            lines += _describe_verdicts(list(alike), self.room, look)
        if queued is None:
            lines = wrap_text(why, self.room, look["muted"])
        elif not queued:
            lines = [Text("no trial is queued", style=look["muted"])]
        self.write(lines, stale)


def _describe_verdicts(alike: list[Verdict], width: int, look: Palette) -> list[Text]:
    """A line for each of a few neighbours with the same verdict, one for all of many."""
    if len(alike) <= FEW:
        return [
            row
            for verdict in alike
            for row in _describe_verdict(verdict, f"#{verdict.trial:<4}", "needs", width, look)
        ]
    largest = max(alike, key=lambda verdict: verdict.needs_bytes)
    trials_text = f"{len(alike)} trials, #{alike[0].trial} to #{alike[-1].trial}:"
    return _describe_verdict(largest, trials_text, "need up to", width, look)


def _describe_verdict(verdict: Verdict, trials_text: str, need: str, width: int, look: Palette) -> list[Text]:
    sign, meaning = SIGNS.get(verdict.level, SIGNS["info"])
    needs = f"{need} {format_bytes(verdict.needs_bytes)}" if verdict.needs_bytes > 0 else ""
    style = look[meaning] if verdict.level != "info" else ""
    rows = wrap_text(
        f"{trials_text} {sanitize(verdict.text, LONGEST)}", width - len(needs) - 1, style, f"{sign} "
    )
    rows[0].stylize(look[meaning], 0, len(sign))
    room = width - len(needs) - rows[0].cell_len
    if needs and room > 0:
        rows[0].append(" " * room + needs, style=look["muted"])
    return rows
