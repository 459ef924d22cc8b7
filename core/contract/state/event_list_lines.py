"""The lines of the event lists, which the fold writes: each decision stands in them once.

What was asked of a worker has a line until the worker has done it; then the line of what was done, which has
the same reason, takes its place.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize

LONGEST_TEXT = 500
LONGEST_HISTORY = 10_000  # lines of an answer, the newest
PRUNE, EDIT = "prune requested by ", "edit requested by "
PRUNER = "the pruner"  # its reason names which one


class PastLine(msgspec.Struct, frozen=True, array_like=True):
    """A line of the event list: when (Unix seconds), what, its level, and the trial (-1: none)."""

    at: float
    text: str
    level: str = "info"
    trial: int = -1


class EventHistory(msgspec.Struct, frozen=True, tag="event-history"):
    """The lines that the state no longer has, oldest first; ``cut``: even older ones were left out. None with
    the reason in ``why_none``."""

    lines: tuple[PastLine, ...] = ()
    cut: bool = False
    why_none: str = ""


def append_line(lines: tuple[s.Line, ...], at: float, text: str, level: str = "info") -> tuple[s.Line, ...]:
    """Return ``lines`` with a harmless line more, the newest LINES of them."""
    return (*lines[-s.LINES + 1 :], s.Line(at, sanitize(text, LONGEST_TEXT), level))


def add_event(study: s.Study, trial: s.Trial, event: e.TrialEvent) -> tuple[s.Study, s.Trial]:
    """Add the event's line to both lists; where it answers a request, the request's line goes."""
    text, level = event.title
    if not text:
        return study, trial
    request_line = _find_request(trial, event)
    if request_line is not None:
        text = _name_author(text, request_line, event)
        line = replace(request_line, text=sanitize(f"trial {event.trial} {request_line.text}", LONGEST_TEXT))
        trial = replace(trial, lines=_drop_line(trial.lines, request_line))
        study = replace(study, lines=_drop_line(study.lines, line))
    elif isinstance(event, e.TrialCompleted) and (late := _find_pending_prune(trial)) is not None:
        author = late.text.removeprefix(PRUNE).partition(": ")[0]
        text += f"; the prune requested by {author} came after its last step"
    trial = replace(trial, lines=append_line(trial.lines, event.at, text, level))
    shown_text = f"trial {event.trial} {text}"
    return replace(study, lines=append_line(study.lines, event.at, shown_text, level)), trial


def _find_request(trial: s.Trial, event: e.TrialEvent) -> s.Line | None:
    """Return the line of the request that ``event`` answers; ``trial`` is the one after the event."""
    if isinstance(event, e.TrialPruned):
        return next((line for line in reversed(trial.lines) if _asks_for(line.text, event)), None)
    if isinstance(event, e.TrialEdited) and event.by and not trial.editing:
        return next((line for line in reversed(trial.lines) if line.text.startswith(EDIT + event.by)), None)
    return None


def _find_pending_prune(trial: s.Trial) -> s.Line | None:
    """Return the line of the newest prune request. It stays in the list, for its reason."""
    return next((line for line in reversed(trial.lines) if line.text.startswith(PRUNE)), None)


def _asks_for(text: str, event: e.TrialPruned) -> bool:
    """Return whether a line asked for the prune, for the same reason; a long reason is cut."""
    head = text.partition(": ")[0]
    return head.startswith(PRUNE) and text == sanitize(f"{head}: {event.why}", LONGEST_TEXT)


def _name_author(text: str, request_line: s.Line, event: e.TrialEvent) -> str:
    """Put who asked before the reason of a prune, unless the reason says it."""
    if not isinstance(event, e.TrialPruned):
        return text
    author = request_line.text.removeprefix(PRUNE).partition(": ")[0]
    if author == PRUNER or author in event.why:
        return text
    return f"pruned at step {event.step} by {author}: {event.why}"


def _drop_line(lines: tuple[s.Line, ...], line: s.Line) -> tuple[s.Line, ...]:
    """Return ``lines`` without the newest that is ``line``."""
    for place in range(len(lines) - 1, -1, -1):
        if lines[place] == line:
            return (*lines[:place], *lines[place + 1 :])
    return lines
