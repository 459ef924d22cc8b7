"""A space that is changed while its study runs: history within it teaches on, the rest is kept aside."""

from __future__ import annotations

import optuna
import pytest

from core.contract.spec import spec_file
from core.errors import SpecError
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies

NARROW = {"low": 1e-4, "high": 1e-3, "log": True}
SQLITE = {"storage": ""}  # the study's own file


def told(tmp_path, sampler="tpe", space=None, count=12, **study):
    """A study with ``count`` trials told, and its oracle."""
    oracle = studies.oracle(tmp_path, sampler, space, **study)
    for _ in range(count):
        proposal = oracle.ask(oracle.count())
        oracle.report(proposal.number, 10, {"eval/loss": 9.0})
        oracle.tell(proposal.number, "complete", [studies.quadratic(proposal)])
    return oracle


def again(tmp_path, sampler="tpe", study=None, **space):
    """The same study with another space."""
    return studies.oracle(tmp_path, sampler, {**studies.SPACE, **space}, **(study or {}))


def test_trials_within_a_narrowed_space_teach_on_and_the_others_do_not(tmp_path):
    before = told(tmp_path, **SQLITE).study.trials
    after = again(tmp_path, study=SQLITE, learning_rate=NARROW)
    inside = [one.number for one in before if 1e-4 <= one.params["learning_rate"] <= 1e-3]
    assert 0 < len(inside) < 12 and after.count() == 12
    complete = [trial for trial in after.study.trials if trial.state.name == "COMPLETE"]
    assert [one.number for one in complete] == inside
    assert [one.values for one in complete] == [before[number].values for number in inside]
    assert complete[0].intermediate_values == {10: 9.0}
    proposals = [after.ask(after.count()) for _ in range(6)]
    assert proposals[0].number == 12
    assert all(1e-4 <= proposal.params["learning_rate"] <= 1e-3 for proposal in proposals)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2", "qmc", "random"])
def test_choices_and_scales_change_though_optuna_forbids_it_within_one_study(tmp_path, sampler):
    study = SQLITE if sampler == "tpe" else {}  # all databases have this rule of Optuna's
    told(tmp_path, sampler, count=5 if sampler in ("tpe", "gp") else 12, **study)
    other = {"learning_rate": {"low": 1e-4, "high": 1e-2}, "target_modules": ["mlp", "attention"]}
    after = again(tmp_path, sampler, study, **other)
    for _ in range(3):
        proposal = after.ask(after.count())
        assert proposal.params["target_modules"] in ("mlp", "attention")
        after.tell(proposal.number, "complete", [studies.quadratic(proposal)])


def test_a_knob_that_is_frozen_keeps_the_trials_that_had_its_value(tmp_path):
    before = told(tmp_path).study.trials
    space = {name: one for name, one in studies.SPACE.items() if name != "lora_rank"}
    raw = studies.raw("tpe", space, storage=studies.journal(tmp_path))
    raw["train"] = {"lora_rank": before[0].params["lora_rank"]}
    after = OptunaStudy(raw, str(tmp_path))
    kept = [trial.number for trial in after.study.trials if trial.state.name == "COMPLETE"]
    ranks = [one.params["lora_rank"] for one in before]
    assert kept == [number for number, rank in enumerate(ranks) if rank == ranks[0]]


def test_a_knob_that_is_searched_now_counts_the_value_that_it_had(tmp_path):
    space = {name: one for name, one in studies.SPACE.items() if name != "lora_dropout"}
    told(tmp_path, space=space, count=4)
    after = again(tmp_path)
    assert [trial.params["lora_dropout"] for trial in after.study.trials] == [0.0] * 4


def test_what_runs_goes_on_and_is_told_to_the_new_search(tmp_path):
    oracle = told(tmp_path, count=3)
    running = [oracle.ask(oracle.count()) for _ in range(8)]
    after = again(tmp_path, learning_rate=NARROW)
    for one in running:
        after.report(one.number, 20, {"eval/loss": 3.0})
        after.tell(one.number, "complete", [2.0])
    states = {trial.number: trial.state.name for trial in after.study.trials}
    inside = {one.number for one in running if 1e-4 <= one.params["learning_rate"] <= 1e-3}
    assert {one.number for one in running if states[one.number] == "COMPLETE"} == inside
    assert {states[one.number] for one in running} <= {"COMPLETE", "FAIL"}


def test_a_copy_that_was_cut_short_is_made_again(tmp_path):
    oracle = told(tmp_path, count=3, **SQLITE)
    optuna.create_study(study_name="small · 2", storage=oracle.study._storage)
    after = again(tmp_path, study=SQLITE, learning_rate=NARROW)
    assert after.study.study_name == "small · 2" and after.count() == 3


def test_a_foreign_study_in_the_storage_is_refused_in_words(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    foreign = optuna.create_study(study_name="small", storage=url, direction="minimize")
    foreign.optimize(lambda trial: trial.suggest_float("eta", 0, 1), n_trials=1)
    with pytest.raises(SpecError, match="of another program, which searches eta"):
        OptunaStudy(studies.raw(), str(tmp_path))


def test_a_trial_by_hand_within_the_space_teaches_and_one_outside_is_held_by_number(tmp_path):
    oracle = told(tmp_path, count=2)
    near = oracle.enqueue(2, {"lora_rank": 8, "target_modules": ["q_proj", "v_proj"]}, True)
    assert near.params["lora_rank"] == 8 and near.params["target_modules"] == ["q_proj", "v_proj"]
    assert set(near.params) == set(studies.SPACE)  # the sampler adds what was not named
    aside = oracle.enqueue(3, {}, False)
    assert (near.number, aside.number, aside.params) == (2, 3, {})
    oracle.tell(2, "complete", [0.5])
    oracle.tell(3, "aside", [0.1])
    assert oracle.study.best_trial.number == 2 or oracle.study.best_value < 0.5
    held = oracle.study.trials[3]
    assert held.state.name == "FAIL" and held.user_attrs == {"trimtab:aside": [0.1]}
    assert oracle.ask(4).number == 4


def test_a_reconciled_storage_knows_of_trials_by_hand(tmp_path):
    oracle = told(tmp_path, count=1)
    oracle.reconcile({0: ("complete", [1.0], {}), 1: ("aside", [0.2], {}), 2: ("running", [], {})})
    assert [trial.state.name for trial in oracle.study.trials] == ["COMPLETE", "FAIL", "RUNNING"]


def test_the_space_is_compared_as_the_file_says_it(tmp_path):
    told(tmp_path, count=1)
    raw = spec_file.convert_to_raw(studies.spec("tpe", storage=studies.journal(tmp_path)))
    assert OptunaStudy(raw, str(tmp_path)).study.study_name == "small"
