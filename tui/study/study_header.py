"""The study header in two lines: progress, and the best trial so far."""

from __future__ import annotations

from rich.text import Text

from core.contract.spec.knob_table import KNOBS
from core.contract.state import best_and_counts, reference_values, study_progress
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.base.breadcrumbs import BETWEEN
from tui.column_format import measure_half_width, write_knob
from tui.number_text import GLYPHS, draw_bar, format_duration, format_loss
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
        hidden_count: int = 0,
        place: str = "",
        root: str = "",
    ) -> None:
        """Draw ``study``; ``away`` says that the engine is away or silent, ``hidden_count`` counts the
        others, ``place`` is user and host, at the right where there is room; the way begins at ``root``."""
        width = max(1, self.size.width - 2)
        first = Text(no_wrap=True, overflow="ellipsis")
        second = Text(no_wrap=True, overflow="ellipsis")
        if root and width >= ROOTED:
            first.append(f"{sanitize(root, 40)}{BETWEEN}", style=look["muted"])
        if study is not None:
            _write_first_line(first, study, now, look, width, hidden_count)
            _write_second_line(second, study, look, width)
        else:
            first.append("trimtab", style="bold")
        room = width - first.cell_len - len(place)
        if place and room >= 2:
            first.append(" " * room + place, style=look["muted"])
        if away:
            second = Text(sanitize(away, 120), style=f"bold {look['error']}", no_wrap=True)
        self.draw(Text("\n", no_wrap=True, overflow="ellipsis").join([first, second]))


def _write_first_line(
    line: Text, study: s.Study, now: float, look: Palette, width: int, hidden_count: int
) -> None:
    meaning = STATES.get(study.state, "info")
    ended = best_and_counts.count_ended(study)
    line.append(sanitize(study.name, 30 if width >= 100 else 20), style="bold")
    if hidden_count:
        line.append(f" +{hidden_count} (S)", style=look["muted"])
    line.append(f"  {GLYPHS[meaning]} {study.state}  ", style=look[meaning])
    room = 6 if width < 100 else 12 if width < 140 else 24
    full, empty = draw_bar(study_progress.find_done_share(study), room)
    line.append(full, style=look["primary"])
    line.append(empty, style=look["muted"])
    line.append(f" {study_progress.find_done_percent(study)}%  {ended}/{study.total_trials} ")
    counts = best_and_counts.count_states(study)
    for state in COUNTED:
        if counts.get(state):
            line.append(f" {GLYPHS[state]}{counts[state]}", style=look[state])
            if width >= 120:
                line.append(f" {state} ", style=look["muted"])
    left_s = study_progress.estimate_study_left_s(study, now)
    line.append(f"  {format_duration((study.ended_at or now) - study.created_at)}", style=look["muted"])
    if left_s is not None:
        line.append(f" · {format_duration(left_s)} left", style=look["muted"])


def _write_second_line(line: Text, study: s.Study, look: Palette, width: int) -> None:
    narrow = width < 100
    if study.state == "paused":
        line.append(f"{sanitize(study.why, 40)}: P resumes  ", style=look["warning"])
    best = best_and_counts.find_best(study)
    metric, direction = study.objectives[0]
    if best is not None:
        line.append(f"best #{best.number} ", style=look["good"])
        for place, ((name, _), value) in enumerate(zip(study.objectives, best.values, strict=False)):
            base = reference_values.find_base_value(study, name) if not place else None
            line.append(f"{name} ", style="bold")
            if base is not None:
                line.append(f"base {format_loss(base)} → ", style=look["muted"])
            line.append(format_loss(value), style="bold")
            margin = measure_half_width(best.scores.get(name), value)
            line.append(f" ±{format_loss(margin)}  " if margin is not None else "  ", style=look["muted"])
        _describe_activity(line, study, look, narrow)
        front = len(best_and_counts.find_front(study))
        if front > 1:
            line.append(f"first of {front} on the front  ", style=look["muted"])
        for place, (key, value) in enumerate(
            list(best_and_counts.list_searched_values(study, best).items())[:4]
        ):
            knob = f"{_shorten(key)}={write_knob(study, key, value)}"
            _append_if_room(line, sanitize(f" {knob}" if place else knob, 40), width, look)
    else:
        _describe_activity(line, study, look, narrow)
        words = (
            reference_values.explain_no_best(study)
            if reference_values.list_waiting(study)
            else "no trial is complete yet"
        )
        line.append(f"{sanitize(words, 100)}; {direction} {metric}", style=look["muted"])
        base = reference_values.find_base_value(study, metric)
        if base is not None:
            line.append(f", base {format_loss(base)}", style=look["muted"])
    section = study.settings.study
    _append_if_room(line, f"  {section.sampler} · {section.pruner}", width, look)
    if study.state in ("failed", "stopped"):
        style = look["error" if study.state == "failed" else "warning"]
        line.append(f"  {sanitize(study.why, 200)}", style=style)


def _append_if_room(line: Text, words: str, width: int, look: Palette) -> None:
    """Add what tells less than the rest, where all of it fits."""
    if line.cell_len + len(words) <= width:
        line.append(words, style=look["muted"])


def _describe_activity(line: Text, study: s.Study, look: Palette, narrow: bool) -> None:
    """List the activity after the last step: evaluations, and scoring of complete trials."""
    words = study_progress.describe_rest(study, narrow)
    if words:
        line.append(f"{', '.join(words)}  ", style=look["info"])


def _shorten(name: str) -> str:
    return KNOBS[name].short or name if name in KNOBS else name
