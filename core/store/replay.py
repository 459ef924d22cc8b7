"""The state that journals tell of."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from core.contract.events import Event, StudyCreated, TrialEvaluated, TrialEvent, TrialReported
from core.contract.fold import Draft, apply, apply_readings
from core.contract.state import State


def folded(journals: Iterable[Iterable[Event]]) -> State:
    """All studies, oldest first. The live readings are not in it: they were never kept."""
    state = State()
    for events in journals:
        state = _replayed(state, events)
    studies = sorted(state.studies.values(), key=lambda study: study.created_at)
    return replace(
        state, studies={study.name: replace(study, trials=dict(study.trials)) for study in studies}
    )


def _replayed(state: State, events: Iterable[Event]) -> State:
    """Readings are most of a journal: those of a trial wait until something else happens to it."""
    waiting: dict[tuple[str, int], list[TrialReported | TrialEvaluated]] = {}
    for event in events:
        if isinstance(event, TrialReported | TrialEvaluated):
            waiting.setdefault((event.study, event.trial), []).append(event)
            continue
        if isinstance(event, TrialEvent):
            readings = waiting.pop((event.study, event.trial), None)
            state = apply_readings(state, readings) if readings else state
        state = apply(state, event)
        if isinstance(event, StudyCreated):
            study = replace(state.studies[event.study], trials=Draft(state.studies[event.study].trials))
            state = replace(state, studies={**state.studies, study.name: study})
    for readings in waiting.values():
        state = apply_readings(state, readings)
    return state
