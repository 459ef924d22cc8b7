"""Formats how users steered a trial as signs in its row. Pure."""

from __future__ import annotations

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trials.trial_fields import EDITED as EDITED
from core.contract.views.trials.trial_fields import STAR as STAR
from core.contract.views.trials.trial_fields import is_edited

LONGEST_SIGNS = 12  # cells
SIGN_CELLS = 3  # of the brief form
NOTE = "¶"  # ★ is the best trial's

Piece = tuple[str, str]  # text, and the meaning that colours it


def has_signs(trial: s.Trial) -> bool:
    """Return whether the trial has any sign. Fast, as it runs for every trial that changed."""
    return bool(
        trial.starred or trial.marks or trial.parent >= 0 or trial.pinned or trial.priority or trial.note
        or trial.by
    )  # fmt: skip


def list_signs(trial: s.Trial) -> list[Piece]:
    """Such as "*¶ ✎ ←3 @gpu0 +2": starred, noted, edited, a clone of 3, pinned, earlier in the queue."""
    if not has_signs(trial):
        return []
    starred = STAR * trial.starred + NOTE * bool(trial.note)
    signs = [(starred, "warning")] if starred else []
    if is_edited(trial):
        signs.append((EDITED, "accent" if trial.counted else "warning"))
    if trial.parent >= 0:
        signs.append((f"←{trial.parent}", "accent"))
    elif trial.by:
        signs.append(("hand", "muted"))
    if trial.pinned:
        signs.append((f"@{sanitize(trial.pinned, 6)}", "muted"))
    if trial.priority and trial.state == s.QUEUED:
        signs.append((f"{trial.priority:+d}", "accent"))
    return [(text if not place else f" {text}", meaning) for place, (text, meaning) in enumerate(signs)]


def list_brief_signs(trial: s.Trial) -> list[Piece]:
    """The most telling signs with a cell each, such as "*¶✎", for a table that has no room for more."""
    if not has_signs(trial):
        return []
    waits = trial.priority if trial.state == s.QUEUED else 0
    signs = [
        (STAR, "warning", trial.starred),
        (NOTE, "warning", bool(trial.note)),
        (EDITED, "accent" if trial.counted else "warning", is_edited(trial)),
        ("←", "accent", trial.parent >= 0),
        ("@", "muted", bool(trial.pinned)),
        ("+" if waits > 0 else "-", "accent", bool(waits)),
        ("h", "muted", trial.parent < 0 and bool(trial.by)),
    ]
    return [(text, meaning) for text, meaning, is_shown in signs if is_shown][:SIGN_CELLS]


def measure_signs(trial: s.Trial) -> int:
    """Cells that the signs take."""
    return sum(len(text) for text, _ in list_signs(trial))
