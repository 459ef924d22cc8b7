"""The state that journals tell of."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from core.contract.events import Event
from core.contract.fold import apply
from core.contract.state import State


def folded(journals: Iterable[Iterable[Event]]) -> State:
    """All studies, oldest first. The live readings are not in it: they were never kept."""
    state = State()
    for events in journals:
        for event in events:
            state = apply(state, event)
    studies = sorted(state.studies.values(), key=lambda study: study.created_at)
    return replace(state, studies={study.name: study for study in studies})
