"""A real engine tells which knobs matter and how the search stands, while a study runs and after it ended."""

import asyncio

import pytest

from core.contract.wire import console_api, engine_client
from core.contract.wire.search_state import Importance, SearchState
from core.errors import RefusedError
from tests.daemon.conftest import SQLITE

pytestmark = pytest.mark.real
STORAGE = SQLITE  # which looks open read-only
SPACE = {"lora_rank": [2, 4, 8, 16, 32], "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}


def asked(engine, request):
    return asyncio.run(engine_client.request(engine.socket, request))


def test_it_tells_of_a_study_that_runs_has_ended_and_was_found_again(engine):
    engine.run(study={"trials": 12, "pruner": "halving"}, train={"steps": 40}, space=SPACE)
    engine.until_study(lambda study: len(study.trials) > 2, "it runs")
    early = asked(engine, console_api.AskSearch("s"))
    assert isinstance(early, SearchState) and dict(early.sampler)["sampler"].startswith("random")
    engine.until_study(lambda study: study.state == "complete", "it ends")
    shares = asked(engine, console_api.AskImportance("s"))
    assert isinstance(shares, Importance) and shares.known == 12, shares
    assert set(shares.shares) == set(SPACE) or shares.why_none
    late = asked(engine, console_api.AskSearch("s"))
    assert sum(len(rung.entries) for rung in late.rungs if rung.rung == 0) == 12
    engine.kill()
    engine.start()
    assert asked(engine, console_api.AskImportance("s")) == shares


def test_what_there_is_not_is_refused_with_the_reason(engine):
    with pytest.raises(RefusedError) as caught:
        asked(engine, console_api.AskImportance("nobody"))
    assert "there is no study 'nobody'" in str(caught.value)
    engine.run(study={"trials": 1})
    with pytest.raises(RefusedError) as caught:
        asked(engine, console_api.AskImportance("s", objective=3))
    assert "there is no objective 3" in str(caught.value)
