"""A population of a real (tiny) model: what goes on in a loser's place has the winner's weights."""

from __future__ import annotations

import pytest

from core.contract.spec.population_checks import BY
from core.contract.state import engine_state as s
from tests.daemon.conftest import Engine

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("e2e")]


@pytest.fixture
def engine(tmp_path):
    one = Engine(tmp_path / "home", worker="core.train.commands.worker").start()
    yield one
    one.end()


def test_losers_train_on_from_the_weights_of_winners(engine, base):
    engine.run(
        study={"trials": 4, "seed": 1, "population": {"every": 1}},
        model={"base": str(base), "precision": "fp32"},
        data={"source": str(base / "rows.jsonl")},
        train={"steps": 40, "sequence_length": 32},
        space={"learning_rate": {"low": 1e-6, "high": 3e-2, "log": True}, "lora_rank": [4]},
        evaluate={"every": 8, "rows": 8},
        resources={"pack": 4, "threads": 1},
    )
    study = engine.until_study(lambda study: study.state == "complete", "the study ends")
    print("\n".join(line.text for line in study.lines))
    clones = [trial for trial in study.trials.values() if trial.by == BY]
    assert clones
    replaced = {clone.place_of for clone in clones}
    # A prune that comes after the last step is too late: the trial is complete, and says so.
    late = {number for number in replaced if study.trials[number].state == s.COMPLETE}
    assert len(late) == sum("by the population came after its last step" in line.text for line in study.lines)
    for clone in clones:
        winner, loser = study.trials[clone.parent], study.trials[clone.place_of]
        curve, born = clone.series["eval/loss"], clone.marks[0].step
        first = next(value for step, value in zip(curve.steps, curve.values, strict=True) if step > born)
        assert loser.number in late or loser.state == s.PRUNED
        assert first < loser.latest["eval/loss"] or loser.number in late
        assert 1e-6 <= clone.knobs["learning_rate"] <= 3e-2
        assert (clone.state == s.COMPLETE) != (clone.number in replaced - late)
        assert winner.knobs["learning_rate"] != loser.knobs["learning_rate"]
    assert sum(trial.state == s.COMPLETE for trial in study.trials.values()) == 4 + len(late)
