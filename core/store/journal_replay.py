"""Rebuilds the state from journals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from core.contract.events.event_types import Event, StudyCreated, TrialEvaluated, TrialEvent, TrialReported
from core.contract.state.engine_state import State
from core.contract.state.event_fold import Draft, apply, apply_readings

log = logging.getLogger("trimtab.replay")


def replay_all(journals: Iterable[Iterable[Event]]) -> State:
    """Return the state with all studies, oldest first. Live machine readings are missing: they are never
    stored. An event that cannot be applied is logged and skipped; all others count."""
    state = State()
    for events in journals:
        state = _replay_events(state, events)
    studies = sorted(state.studies.values(), key=lambda study: study.created_at)
    return replace(
        state, studies={study.name: replace(study, trials=dict(study.trials)) for study in studies}
    )


def select_study(study: str, events: Iterable[Event]) -> Iterator[Event]:
    """Return the events of ``study``. A folder that was copied or renamed has events of another study: skip
    them."""
    skipped = 0
    for event in events:
        if event.study == study:
            yield event
        else:
            skipped += 1
    if skipped:
        log.warning("skipped %d events of another study in the folder %s", skipped, study)


def _replay_events(state: State, events: Iterable[Event]) -> State:
    """Apply events; measurements, which are most of a journal, are collected per trial and applied together
    before its next other event."""
    waiting: dict[tuple[str, int], list[TrialReported | TrialEvaluated]] = {}
    for event in events:
        if isinstance(event, TrialReported | TrialEvaluated):
            waiting.setdefault((event.study, event.trial), []).append(event)
            continue
        if isinstance(event, TrialEvent):
            readings = waiting.pop((event.study, event.trial), None)
            state = _add_readings(state, readings) if readings else state
        state = _apply_or_skip(apply, state, event, event)
        if isinstance(event, StudyCreated) and event.study in state.studies:
            study = replace(state.studies[event.study], trials=Draft(state.studies[event.study].trials))
            state = replace(state, studies={**state.studies, study.name: study})
    for readings in waiting.values():
        state = _add_readings(state, readings)
    return state


def _add_readings(state: State, readings: list[TrialReported | TrialEvaluated]) -> State:
    return _apply_or_skip(apply_readings, state, readings, readings[0])


def _apply_or_skip(fold: Callable[[State, Any], State], state: State, item: Any, event: Event) -> State:
    try:
        return fold(state, item)
    except Exception:
        log.exception("skipped an event of %s: %.300r", event.study, event)
        return state
