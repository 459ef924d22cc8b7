"""Lists the decisions in a journal with time, author and reason: every event that is not a measurement.

The texts are those of the event list: each event is folded, and the line that it adds is used. An event
without a line (such as one from a later version) is described by its tag and its fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import Draft, apply
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor

READINGS = (
    e.TrialReported,
    e.TrialEvaluated,
    e.TrialScored,
    e.TrialWeighed,
    e.TrialCheckpointed,
    e.BaseScored,
)
# The author of events that name none; other events of a trial come from its worker.
ACTORS = {"trial-queued": "sampler", "trial-starting": "engine", "trial-requeued": "engine"}
LEFT_OUT = frozenset({"at", "study", "trial", "by", "why", "spec", "traceback"})  # shown elsewhere
TEXT = 500  # the most characters of a value


class Decision(msgspec.Struct, frozen=True):
    """One line of the list. ``at`` is Unix seconds, ``event`` the event's tag, ``trial`` None for the whole
    study; ``fields`` holds the event's other fields."""

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
        """The time in UTC, in ISO 8601."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at))


def list_decisions(events: Iterable[e.Event]) -> Iterator[Decision]:
    """Return one decision per event that is not a measurement, and one per note of a measurement."""
    state, redactor = s.State(), Redactor()
    for event in events:
        if isinstance(event, e.TrialReported):
            yield from (_note(event, note, redactor) for note in event.notes)
        if isinstance(event, READINGS):
            continue
        before = _find_last_line(state, event.study)
        state = _make_draft(apply(state, event), event)
        line = _find_last_line(state, event.study)
        yield redactor.redact_all(_make_decision(event, line if line is not before else None))


def _find_last_line(state: s.State, study: str) -> s.Line | None:
    known_study = state.studies.get(study)
    return known_study.lines[-1] if known_study is not None and known_study.lines else None


def _make_draft(state: s.State, event: e.Event) -> s.State:
    """Keep the trials of a new study in a mutable draft: copying all of them for every event is slow."""
    if not isinstance(event, e.StudyCreated):
        return state
    study = state.studies[event.study]
    return replace(state, studies={**state.studies, study.name: replace(study, trials=Draft(study.trials))})


def _make_decision(event: e.Event, line: s.Line | None) -> Decision:
    tag = str(event.__struct_config__.tag)
    fields = {name: value for name, value in _list_fields(event).items() if name not in LEFT_OUT}
    trial = getattr(event, "trial", None)
    why = sanitize(str(getattr(event, "why", "") or getattr(event, "error", "")), TEXT)
    text = sanitize(line.text, TEXT) if line is not None else _describe_fields(tag, fields)
    text = text.removeprefix(f"trial {trial} ").removesuffix(f": {why}" if why else "")
    return Decision(
        event.at,
        tag,
        trial,
        _name_decision_maker(event, tag),
        text,
        why,
        line.level if line else "info",
        fields,
    )


def _list_fields(event: e.Event) -> dict[str, Any]:
    content = msgspec.to_builtins(event)
    return {name: _shorten_value(value) for name, value in content.items() if name != "type"}


def _shorten_value(value: Any) -> Any:
    return sanitize(value, TEXT) if isinstance(value, str) else value


def _describe_fields(tag: str, fields: dict[str, Any]) -> str:
    pairs = ", ".join(f"{name} {sanitize(str(value), 200)}" for name, value in fields.items())
    return f"{tag.replace('-', ' ')}: {pairs}" if pairs else tag.replace("-", " ")


def _name_decision_maker(event: e.Event, tag: str) -> str:
    author = getattr(event, "by", "")
    fallback = "worker" if isinstance(event, e.TrialEvent) else "engine"
    return sanitize(str(author), 80) or ACTORS.get(tag, fallback)


def _note(event: e.TrialReported, note: str, redactor: Redactor) -> Decision:
    text = redactor.redact_text(sanitize(note, TEXT))
    return Decision(event.at, "note", event.trial, "worker", text, "", "warning", {"step": event.step})
