"""Triggers that change while trials train: later scorings are asked with them, and nothing is lost."""

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from tests.train.test_boards import SAFETY, scores, scores_of_base

ASK = worker_api.AskTriggers(("cf mn",))


@pytest.fixture
def one(bench, tmp_path, monkeypatch):
    """A bench with the safety board and a cache of its own."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))

    def make(**evaluate):
        made = bench(train={"steps": 8}, evaluate={**SAFETY, **evaluate})
        made.assign(tmp_path)
        return made

    return make


def test_base_and_trials_are_asked_with_the_new_triggers_from_then_on(one):
    pack = one()
    while not pack.of(e.TrialScored):
        pack.turn()
    assert not [name for name in scores(pack) if "@" in name]
    pack.pack.do(ASK)
    pack.finish()
    for found in (scores(pack), scores_of_base(pack)):
        assert {"safety/refusal@1", "safety/toxicity@1", "safety/refusal_odds@1"} <= set(found)
    assert pack.of(e.TrialScored)[-1].last


def test_what_is_pending_is_scored_with_them_and_a_last_scoring_is_not_lost(one):
    pack = one(budget=1e-6)
    while not pack.of(e.TrialCompleted):
        pack.turn()
    pending = pack.pack.parts.scoring.list_pending(0)
    pack.pack.do(ASK)
    assert pack.pack.parts.scoring.list_pending(0) == pending and pending
    pack.finish()
    told = pack.of(e.TrialScored)
    assert told[-1].last and "safety/refusal@1" in told[-1].scores


def test_triggers_that_are_taken_away_are_asked_no_more(one):
    pack = one(triggers=["cf mn"])
    while not pack.of(e.TrialScored):
        pack.turn()
    assert "safety/refusal_odds@1" in scores(pack)
    pack.pack.do(worker_api.AskTriggers(()))
    pack.finish()
    assert not [name for name in scores(pack) if "@" in name]


def test_the_same_triggers_again_disturb_nothing(one):
    pack = one(triggers=["cf mn"])
    before = pack.pack.parts.scoring.background
    pack.pack.do(ASK)
    assert pack.pack.parts.scoring.background is before


def test_a_study_without_boards_has_nothing_to_ask(one):
    pack = one(boards=[])
    pack.pack.do(ASK)
    pack.finish()
    assert pack.of(e.TrialCompleted) and not pack.of(e.TrialScored)
