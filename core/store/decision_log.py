"""What was decided, when, by whom and why: every event of a journal that is no reading, in words.

The words are those of the event list: each event is folded, and the line that comes of it is taken. One that
has no words there (a later version may know more events than this one has words for) is told by its tag and
its fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import study_state as s
from core.contract.state.event_fold import Draft, apply
from core.contract.text.sanitize import plain
from core.contract.text.secret_redaction import Redactor

READINGS = (
    e.TrialReported,
    e.TrialEvaluated,
    e.TrialScored,
    e.TrialWeighed,
    e.TrialCheckpointed,
    e.BaseScored,
)
# Who acts where an event names nobody; any other event of a trial is told by its worker.
ACTORS = {"trial-queued": "sampler", "trial-starting": "engine", "trial-requeued": "engine"}
LEFT_OUT = frozenset({"at", "study", "trial", "by", "why", "spec", "traceback"})  # said elsewhere
TEXT = 500  # characters of a value that are told


class Decision(msgspec.Struct, frozen=True):
    """One line of the list. ``at`` is Unix seconds, ``event`` the event's tag, ``trial`` None for the whole
    study; ``fields`` holds what else the event says."""

    at: float
    event: str
    trial: int | None
    by: str
    what: str
    why: str
    level: str = "info"
    fields: dict[str, Any] = {}

    @property
    def time(self) -> str:
        """UTC, as ISO 8601 has it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at))


def decisions(events: Iterable[e.Event]) -> Iterator[Decision]:
    """One for each event that is no reading; a reading's notes are one each, too."""
    state, redactor = s.State(), Redactor()
    for event in events:
        if isinstance(event, e.TrialReported):
            yield from (_note(event, note, redactor) for note in event.notes)
        if isinstance(event, READINGS):
            continue
        before = _last(state, event.study)
        state = _grown(apply(state, event), event)
        line = _last(state, event.study)
        yield redactor.anything(_told(event, line if line is not before else None))


def _last(state: s.State, study: str) -> s.Line | None:
    known = state.studies.get(study)
    return known.lines[-1] if known is not None and known.lines else None


def _grown(state: s.State, event: e.Event) -> s.State:
    """Trials of a new study are kept in a draft: copying all of them for every event takes long."""
    if not isinstance(event, e.StudyCreated):
        return state
    study = state.studies[event.study]
    return replace(state, studies={**state.studies, study.name: replace(study, trials=Draft(study.trials))})


def _told(event: e.Event, line: s.Line | None) -> Decision:
    tag = str(event.__struct_config__.tag)
    fields = {name: value for name, value in _fields(event).items() if name not in LEFT_OUT}
    trial = getattr(event, "trial", None)
    why = plain(str(getattr(event, "why", "") or getattr(event, "error", "")), TEXT)
    what = plain(line.text, TEXT) if line is not None else _by_fields(tag, fields)
    what = what.removeprefix(f"trial {trial} ").removesuffix(f": {why}" if why else "")
    return Decision(event.at, tag, trial, _who(event, tag), what, why, line.level if line else "info", fields)


def _fields(event: e.Event) -> dict[str, Any]:
    found = msgspec.to_builtins(event)
    return {name: _short(value) for name, value in found.items() if name != "type"}


def _short(value: Any) -> Any:
    return plain(value, TEXT) if isinstance(value, str) else value


def _by_fields(tag: str, fields: dict[str, Any]) -> str:
    told = ", ".join(f"{name} {plain(str(value), 200)}" for name, value in fields.items())
    return f"{tag.replace('-', ' ')}: {told}" if told else tag.replace("-", " ")


def _who(event: e.Event, tag: str) -> str:
    by = getattr(event, "by", "")
    fallback = "worker" if isinstance(event, e.TrialEvent) else "engine"
    return plain(str(by), 80) or ACTORS.get(tag, fallback)


def _note(event: e.TrialReported, note: str, redactor: Redactor) -> Decision:
    text = redactor.text(plain(note, TEXT))
    return Decision(event.at, "note", event.trial, "worker", text, "", "warning", {"step": event.step})
