"""The study header in two lines: progress, and the best trial so far."""

from __future__ import annotations

from rich.text import Text

from core.contract.spec.knob_table import KNOBS
from core.contract.state import best_and_counts, reference_values, study_progress
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from tui.base.breadcrumbs import BETWEEN
from tui.column_format import half_width, write_knob
from tui.number_text import GLYPHS, bar, duration, loss
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet

STATES = {
    "running": "running",
    "paused": "paused",
    "stopping": "paused",
    "complete": "complete",
    "stopped": "pruned",
    "failed": "failed",
}
ROOTED = 100  # columns from which the way to the study is shown
COUNTED = ("running", "paused", "queued", "complete", "pruned", "failed", "infeasible")


class StudyHeader(Sheet):
    """Two lines at the top."""

    DEFAULT_CSS = """
    StudyHeader {
        height: 2; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def show(
        self,
        study: s.Study | None,
        now: float,
        away: str,
        look: Palette,
        more: int = 0,
        place: str = "",
        root: str = "",
    ) -> None:
        """Draw ``study``; ``away`` says that the engine is away or silent, ``more`` counts the others,
        ``place`` is user and host, at the right where there is room; the way begins at ``root``."""
        width = max(40, self.size.width - 2)
        first = Text(no_wrap=True, overflow="ellipsis")
        second = Text(no_wrap=True, overflow="ellipsis")
        if root and width >= ROOTED:
            first.append(f"{plain(root, 40)}{BETWEEN}", style=look["muted"])
        if study is not None:
            _first_line(first, study, now, look, width, more)
            _second_line(second, study, look, narrow=width < 100)
        else:
            first.append("trimtab", style="bold")
        room = width - first.cell_len - len(place)
        if place and room >= 2:
            first.append(" " * room + place, style=look["muted"])
        if away:
            second = Text(plain(away, 120), style=f"bold {look['error']}", no_wrap=True)
        self.draw(Text("\n", no_wrap=True, overflow="ellipsis").join([first, second]))


def _first_line(line: Text, study: s.Study, now: float, look: Palette, width: int, more: int) -> None:
    meaning = STATES.get(study.state, "info")
    ended = best_and_counts.count_ended(study)
    line.append(plain(study.name, 30 if width >= 100 else 20), style="bold")
    if more:
        line.append(f" +{more} (S)", style=look["muted"])
    line.append(f"  {GLYPHS[meaning]} {study.state}  ", style=look[meaning])
    room = 6 if width < 100 else 12 if width < 140 else 24
    full, empty = bar(study_progress.done_share(study), room)
    line.append(full, style=look["primary"])
    line.append(empty, style=look["muted"])
    line.append(f" {study_progress.done_percent(study)}%  {ended}/{study.total_trials} ")
    counts = best_and_counts.count_states(study)
    for state in COUNTED:
        if counts.get(state):
            line.append(f" {GLYPHS[state]}{counts[state]}", style=look[state])
            if width >= 120:
                line.append(f" {state} ", style=look["muted"])
    left = study_progress.study_left_s(study, now)
    line.append(f"  {duration((study.ended_at or now) - study.created_at)}", style=look["muted"])
    if left is not None:
        line.append(f" · {duration(left)} left", style=look["muted"])


def _second_line(line: Text, study: s.Study, look: Palette, narrow: bool) -> None:
    if study.state == "paused":
        line.append(f"{plain(study.why, 40)}: P resumes  ", style=look["warning"])
    best = best_and_counts.best(study)
    metric, direction = study.objectives[0]
    if best is not None:
        line.append(f"best #{best.number} ", style=look["good"])
        for place, ((name, _), value) in enumerate(zip(study.objectives, best.values, strict=False)):
            base = reference_values.base_value(study, name) if not place else None
            line.append(f"{name} ", style="bold")
            if base is not None:
                line.append(f"base {loss(base)} → ", style=look["muted"])
            line.append(loss(value), style="bold")
            margin = half_width(best.scores.get(name), value)
            line.append(f" ±{loss(margin)}  " if margin is not None else "  ", style=look["muted"])
        _activity(line, study, look, narrow)
        front = len(best_and_counts.front(study))
        if front > 1:
            line.append(f"first of {front} on the front  ", style=look["muted"])
        knobs = list(best_and_counts.searched_values(study, best).items())[:4]
        shown = " ".join(f"{_short(key)}={write_knob(study, key, value)}" for key, value in knobs)
        line.append(plain(shown, 80), style=look["muted"])
    else:
        _activity(line, study, look, narrow)
        words = (
            reference_values.explain_no_best(study)
            if reference_values.list_waiting(study)
            else "no trial is complete yet"
        )
        line.append(f"{plain(words, 100)}; {direction} {metric}", style=look["muted"])
        base = reference_values.base_value(study, metric)
        if base is not None:
            line.append(f", base {loss(base)}", style=look["muted"])
    section = study.settings.study
    line.append(f"  {section.sampler} · {section.pruner}", style=look["muted"])
    if study.state in ("failed", "stopped"):
        style = look["error" if study.state == "failed" else "warning"]
        line.append(f"  {plain(study.why, 200)}", style=style)


def _activity(line: Text, study: s.Study, look: Palette, narrow: bool) -> None:
    """List the activity after the last step: evaluations, and scoring of complete trials."""
    words = study_progress.describe_rest(study, narrow)
    if words:
        line.append(f"{', '.join(words)}  ", style=look["info"])


def _short(name: str) -> str:
    return KNOBS[name].short or name if name in KNOBS else name
