"""The state that journals tell of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from core.contract.events.event_types import Event, StudyCreated, TrialEvaluated, TrialEvent, TrialReported
from core.contract.state.event_fold import Draft, apply, apply_readings
from core.contract.state.study_state import State

log = logging.getLogger("trimtab.replay")


def folded(journals: Iterable[Iterable[Event]]) -> State:
    """All studies, oldest first. The live readings are not in it: they were never kept. An event that the
    state cannot take is passed over and logged: the rest of the study, and all others, are there."""
    state = State()
    for events in journals:
        state = _replayed(state, events)
    studies = sorted(state.studies.values(), key=lambda study: study.created_at)
    return replace(
        state, studies={study.name: replace(study, trials=dict(study.trials)) for study in studies}
    )


def of(study: str, events: Iterable[Event]) -> Iterator[Event]:
    """The events of ``study``: a folder that was copied or renamed tells of another, which it is not."""
    strange = 0
    for event in events:
        if event.study == study:
            yield event
        else:
            strange += 1
    if strange:
        log.warning("the folder %s holds %d events of another study: they are passed over", study, strange)


def _replayed(state: State, events: Iterable[Event]) -> State:
    """Readings are most of a journal: those of a trial wait until something else happens to it."""
    waiting: dict[tuple[str, int], list[TrialReported | TrialEvaluated]] = {}
    for event in events:
        if isinstance(event, TrialReported | TrialEvaluated):
            waiting.setdefault((event.study, event.trial), []).append(event)
            continue
        if isinstance(event, TrialEvent):
            readings = waiting.pop((event.study, event.trial), None)
            state = _with_readings(state, readings) if readings else state
        state = _taken(apply, state, event, event)
        if isinstance(event, StudyCreated) and event.study in state.studies:
            study = replace(state.studies[event.study], trials=Draft(state.studies[event.study].trials))
            state = replace(state, studies={**state.studies, study.name: study})
    for readings in waiting.values():
        state = _with_readings(state, readings)
    return state


def _with_readings(state: State, readings: list[TrialReported | TrialEvaluated]) -> State:
    return _taken(apply_readings, state, readings, readings[0])


def _taken(fold: Callable[[State, Any], State], state: State, what: Any, event: Event) -> State:
    try:
        return fold(state, what)
    except Exception:
        log.exception("an event of %s is passed over: %.300r", event.study, event)
        return state
