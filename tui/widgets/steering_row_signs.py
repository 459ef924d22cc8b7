"""Formats how users steered a trial as signs in its row. Pure."""

from __future__ import annotations

from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain

LONGEST_SIGNS = 12  # cells
STAR, EDITED, NOTE = "*", "✎", "¶"  # ★ is the best trial's

Piece = tuple[str, str]  # text, and the meaning that colours it


def has_signs(trial: s.Trial) -> bool:
    """Return whether the trial has any sign. Fast, as it runs for every trial in every frame."""
    return bool(
        trial.starred or trial.marks or trial.parent >= 0 or trial.pinned or trial.priority or trial.note
        or trial.by
    )  # fmt: skip


def signs_of(study: s.Study, trial: s.Trial, best: bool) -> list[Piece]:
    """Such as "*¶ ✎ ←3 @gpu0 +2": starred, noted, edited, a clone of 3, pinned, earlier in the queue."""
    if not has_signs(trial):
        return []
    starred = STAR * trial.starred + NOTE * bool(trial.note)
    signs = [(starred, "warning")] if starred else []
    if was_edited(trial):
        signs.append((EDITED, "accent" if trial.counted else "warning"))
    if trial.parent >= 0:
        signs.append((f"←{trial.parent}", "accent"))
    elif trial.by:
        signs.append(("hand", "muted"))
    if trial.pinned:
        signs.append((f"@{plain(trial.pinned, 6)}", "muted"))
    if trial.priority and trial.state == s.QUEUED:
        signs.append((f"{trial.priority:+d}", "accent"))
    return [(text if not place else f" {text}", meaning) for place, (text, meaning) in enumerate(signs)]


def signs_width(trial: s.Trial) -> int:
    """Cells that the signs take."""
    return sum(len(text) for text, _ in signs_of(_NOWHERE, trial, False)) if has_signs(trial) else 0


def was_edited(trial: s.Trial) -> bool:
    """Was a knob changed as it ran, or a prune taken back? A clone's first mark is its beginning."""
    return len(trial.marks) > (trial.parent >= 0)


def words_of(trial: s.Trial) -> list[str]:
    """What the filter finds: the signs, and words for them."""
    words = [STAR, "starred"] if trial.starred else []
    words += [EDITED, "edited"] if was_edited(trial) else []
    words += ["editing"] if trial.editing else []
    words += [] if trial.counted else ["uncounted"]
    words += [f"←{trial.parent}", "clone"] if trial.parent >= 0 else ["by hand"] if trial.by else []
    return words + ([f"@{trial.pinned}"] if trial.pinned else [])


_NOWHERE = s.Study("")
