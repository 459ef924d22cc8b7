"""An event declares how it is treated: whoever adds one touches its class, AnyEvent, and the fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from core.contract.events import event_types as e
from core.contract.events import trial_states
from core.contract.state import event_fold


def declared(kind: type = e.Event) -> Iterator[type[e.Event]]:
    for below in kind.__subclasses__():
        yield from declared(below)
        if below is not e.TrialEvent:
            yield below


EVENTS = sorted(set(declared()), key=lambda kind: kind.__name__)


def test_every_event_can_be_written_and_read():
    assert set(get_args(e.AnyEvent)) == set(EVENTS)


@pytest.mark.parametrize("kind", EVENTS)
def test_what_an_event_declares_makes_sense(kind: type[e.Event]):
    states = kind.from_states or frozenset()
    known = (
        trial_states.OPEN | trial_states.ENDED if issubclass(kind, e.TrialEvent) else trial_states.LIVE_STUDY
    )
    assert states <= known
    assert kind.journaled or not kind.urgent, "a reading of the moment may wait"


def test_every_event_of_a_trial_has_an_effect_on_it():
    of_trials = {kind for kind in EVENTS if issubclass(kind, e.TrialEvent)}
    assert of_trials - {e.TrialQueued} == set(event_fold.STEPS)


def test_a_worker_decides_nothing_that_is_the_engines():
    of_engine = {
        e.StudyCreated, e.StudyReopened, e.StudyPaused, e.StudyResumed, e.StudyStopping, e.StudyEnded,
        e.StudyChanged, e.TrialQueued, e.TrialWeighed, e.TrialStarting, e.PauseAsked, e.ResumeAsked,
        e.PruneAsked, e.EditAsked, e.TrialMarked, e.TrialReprieved, e.ScoringAssigned, e.MachineRead,
        e.RatingGiven,
    }  # fmt: skip
    assert {kind for kind in EVENTS if not kind.from_worker} == of_engine
