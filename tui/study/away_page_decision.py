"""Decides once, after attaching, whether the page of what happened meanwhile is shown."""

from __future__ import annotations

from pathlib import Path

from core.contract.state import engine_state as s
from core.contract.views.away_summary import AwaySummary, summarize_away
from tui.study.away_screen import LastSeen, is_worth_a_page


class AwayNotice:
    """Knows when this user last looked, and keeps that up to date while keys are pressed."""

    def __init__(self, home: Path) -> None:
        self._last_seen = LastSeen(home)
        self._before = self._last_seen.read()
        self._is_decided = False

    def summarize_once(self, study: s.Study, now: float, engine_pid: int) -> AwaySummary | None:
        """Return what happened since the last look, the first time; None if that is not worth a page."""
        if self._is_decided:
            return None
        self._is_decided, before = True, self._before
        self._last_seen.mark(now, engine_pid, force=True)
        if before is None:
            return None
        is_same = before.engine_pid in (0, engine_pid)
        summary = summarize_away(study, before.at, None if is_same else now)
        return summary if is_worth_a_page(summary, now) else None

    def note_key(self, now: float, engine_pid: int) -> None:
        """Keep that the user looked."""
        if self._is_decided:
            self._last_seen.mark(now, engine_pid)
