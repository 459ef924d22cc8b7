"""A population: its worst trials give their places to copies of its best, with other knobs."""

from __future__ import annotations

import pytest

from core.contract import state as s
from core.contract import wire
from core.contract.population import BY

pytestmark = pytest.mark.real
SPACE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "weight_decay": [0.0, 0.1, 0.2]}


def begin(engine, steps=400, **population):
    engine.run(
        study={"trials": 4, "seed": 3, "population": population or {"every": 2}},
        train={"steps": steps},
        space=SPACE,
        evaluate={"every": 20},
        resources={"pack": 4},
    )


def losers(study: s.Study) -> list[s.Trial]:
    return [one for one in study.trials.values() if one.why.startswith("population: ")]


def clones(study: s.Study) -> list[s.Trial]:
    return [one for one in study.trials.values() if one.by == BY]


def test_losers_give_their_places_to_clones_of_winners_with_other_knobs_in_the_space(engine):
    begin(engine)
    study = engine.until_study(lambda one: one.state == "complete", "the study ends")
    print("\n".join(line.text for line in study.lines))
    assert losers(study) and len(losers(study)) == len(clones(study))
    for clone in clones(study):
        winner, loser = study.trials[clone.parent], study.trials[clone.place_of]
        assert loser.state == s.PRUNED and f"goes on in its place as trial {clone.number}" in loser.why
        assert winner.knobs["lora_rank"] > loser.knobs["lora_rank"]  # a larger rank learns faster there
        assert clone.knobs["lora_rank"] == winner.knobs["lora_rank"]
        assert 1e-5 <= clone.knobs["learning_rate"] <= 1e-2 and clone.knobs["weight_decay"] in (0.0, 0.1, 0.2)
        assert clone.knobs["seed"] == winner.knobs["seed"] and not clone.counted
    assert any(
        one.knobs["learning_rate"] != study.trials[one.parent].knobs["learning_rate"] for one in clones(study)
    )
    assert sum(one.state == s.COMPLETE for one in study.trials.values()) == 4
