"""Describes how users steered a trial, in one line under its title. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.events.knob_change_text import format_value
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.theme_colors import Palette
from tui.widgets.steering_row_signs import NOTE, STAR


def describe_steering(trial: s.Trial, look: Palette) -> Text:
    """Its note, what is being edited, where it comes from; empty where the sampler alone is at work."""
    parts = [Text(f"{STAR} starred", style=look["warning"])] if trial.starred else []
    if trial.note:
        parts.append(Text(f"{NOTE} {sanitize(trial.note, 300)}", style=f"bold {look['warning']}"))
    if trial.editing:
        pending_text = ", ".join(
            f"{sanitize(name, 30)} {sanitize(format_value(value), 30)}"
            for name, value in trial.editing.items()
        )
        parts.append(Text(f"editing… {pending_text}", style=look["warning"]))
    parts += [Text(word, style=look["muted"]) for word in _list_words(trial)]
    line = Text(no_wrap=True, overflow="ellipsis")
    for place, part in enumerate(parts):
        line.append("  " if place else "")
        line.append_text(part)
    return line


def _list_words(trial: s.Trial) -> list[str]:
    words = []
    if trial.parent >= 0:
        words.append(f"clone of trial {trial.parent}")
    elif trial.by:
        words.append(f"queued by {sanitize(trial.by, 30)}")
    if not trial.counted:
        words.append("not reported to the sampler")
    if trial.pinned:
        words.append(f"only on {sanitize(trial.pinned, 20)}")
    if trial.priority and trial.state == s.QUEUED:
        words.append(f"priority {trial.priority:+d}")
    return words
