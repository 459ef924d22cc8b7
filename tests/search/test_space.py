"""The space in Optuna's terms and back."""

from __future__ import annotations

import math

import pytest
from optuna.trial import create_trial

from core.contract.spec import knob_table
from core.contract.spec.search_space import Choice, Range, explain_outside
from core.contract.spec.study_spec import COUNTED
from core.search.optuna_space import from_optuna, make_distribution, make_grid, to_optuna
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies

EVERY_KNOB = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "batch_size": {"low": 1, "high": 8},
    "gradient_accumulation": [1, 2, 4],
    "sequence_length": {"low": 64, "high": 512, "step": 64},
    "lora_rank": {"low": 2, "high": 64, "log": True},
    "lora_alpha": {"low": 1, "high": 64},
    "lora_dropout": {"low": 0.0, "high": 0.2, "step": 0.05},
    "neftune_noise_alpha": [0.0, 5.0],
    "prompt_dropout": {"low": 0.0, "high": 0.2},
    "label_smoothing": [0.0, 0.1],
    "target_modules": ["attention", "all-linear", ["q_proj"], ["q_proj", "v_proj"]],
    "optimizer": list(knob_table.OPTIMIZERS),
    "weight_decay": [0.0, 0.01],
    "warmup": {"low": 0.0, "high": 0.1},
    "scheduler": list(knob_table.SCHEDULERS),
    "clip_norm": {"low": 0.5, "high": 2.0},
    "epochs": {"low": 0.5, "high": 3.0, "step": 0.5},
    "steps": {"low": 10, "high": 100, "step": 10},
    "initialisation": list(knob_table.INITIALISATIONS),
    "anonymise": ["off", "on"],
    "seed": {"low": 0, "high": 99},
}


def test_a_space_of_every_knob_gives_knobs_that_a_trial_takes(tmp_path):
    assert set(EVERY_KNOB) == set(knob_table.KNOBS), "a new knob needs a row here"
    oracle = studies.oracle(tmp_path, "tpe", EVERY_KNOB)
    for number in range(8):
        proposal = oracle.ask(number)
        assert set(proposal.params) == set(EVERY_KNOB) and set(proposal.knobs) == set(knob_table.KNOBS)
        for name, value in proposal.knobs.items():
            assert knob_table.find_fault(knob_table.KNOBS[name], value) is None, (name, value)
        assert proposal.params["target_modules"] in EVERY_KNOB["target_modules"]
        assert type(proposal.params["lora_alpha"]) is float and type(proposal.params["lora_rank"]) is int
        oracle.tell(number, "complete", [1.0 / (number + 1)])


def test_a_list_of_modules_is_stored_as_json_and_comes_back():
    dimension = Choice(("attention", ["q_proj", "v_proj"]))
    choices = make_distribution(dimension).choices
    assert choices == ("attention", '["q_proj", "v_proj"]')
    back = [from_optuna({"target_modules": dimension}, {"target_modules": choice}) for choice in choices]
    assert [one["target_modules"] for one in back] == ["attention", ["q_proj", "v_proj"]]


def test_fixed_knobs_come_from_train(tmp_path):
    raw = {**studies.raw(), "train": {"lora_alpha": 7.0}}
    proposal = OptunaStudy(raw, str(tmp_path)).ask(0)
    assert proposal.knobs["lora_alpha"] == 7.0 and "lora_alpha" not in proposal.params


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Range(1, 7, "int", 3), [1, 4, 7]),
        (Range(0, 2, "int"), [0, 1, 2]),
        (Range(0.0, 0.3, "float", 0.1), [0.0, 0.1, 0.2, 0.3]),
        (Range(0.0, 0.25, "float", 0.1), [0.0, 0.1, 0.2]),
        (Range(0, 1, "float", 0.5), [0.0, 0.5, 1.0]),
        (Choice((["a"], "mlp")), [to_optuna(["a"]), "mlp"]),
    ],
)
def test_the_grid_counts_each_dimension(dimension, values):
    assert make_grid({"x": dimension})["x"] == values


def test_a_study_without_a_space_has_one_trial(tmp_path):
    oracle = studies.oracle(tmp_path, "tpe", {})
    assert oracle.ask(0).params == {} and oracle.ask(1) is None


STEPS = {
    (0.0, 0.3, 0.1): [0.0, 0.1, 0.2, 0.3],
    (0.05, 0.2, 0.05): [0.05, 0.1, 0.15, 0.2],
    (0.0, 0.7, 0.1): [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    (0.2, 0.3, 0.1): [0.2, 0.3],  # 0.3 - 0.2 is less than 0.1 in floating point
    (0.0, 0.25, 0.1): [0.0, 0.1, 0.2],  # Optuna would warn, and cut the range itself
}


@pytest.mark.parametrize("sampler", ["grid", "bruteforce", "tpe", "random", "qmc", "nsga2"])
@pytest.mark.parametrize("ends", list(STEPS), ids=str)
@pytest.mark.filterwarnings("error:The distribution is specified", "error:The value `0")
def test_a_step_of_a_tenth_gives_the_numbers_that_a_person_would_write(tmp_path, sampler, ends):
    low, high, step = ends
    oracle = studies.oracle(tmp_path, sampler, {"lora_dropout": {"low": low, "high": high, "step": step}})
    dimension = oracle.spec.space["lora_dropout"]
    tried = []
    for number in range(12):
        if (proposal := oracle.ask(number)) is None:
            break
        tried.append(proposal.params["lora_dropout"])
        assert explain_outside(dimension, tried[-1]) is None
        oracle.tell(number, "complete", [tried[-1]])
    assert set(tried) <= set(STEPS[ends])
    if sampler in COUNTED:
        assert sorted(tried) == STEPS[ends], "each point once"


def test_a_value_with_rounding_in_its_last_bits_is_a_point_and_is_taken_for_it(tmp_path):
    oracle = studies.oracle(tmp_path, "bruteforce", {"lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}})
    dimension = oracle.spec.space["lora_dropout"]
    assert (
        explain_outside(dimension, 0.1 + 0.2) is None
        and explain_outside(dimension, 0.31)
        and explain_outside(dimension, 0.2999)
    )
    assert oracle.enqueue(0, {"lora_dropout": 0.1 + 0.2}, True).knobs["lora_dropout"] == 0.3
    rest = [oracle.ask(number).params["lora_dropout"] for number in (1, 2, 3)]
    assert sorted(rest) == [0.0, 0.1, 0.2] and oracle.ask(4) is None


def test_a_lost_storage_gets_a_trial_of_before_back_with_its_parameters(tmp_path):
    oracle = OptunaStudy(
        studies.raw("tpe", {"lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}}), str(tmp_path)
    )
    oracle.reconcile({0: ("complete", [1.0], {"lora_dropout": 0.30000000000000004})})
    assert oracle.study.trials[0].params == {"lora_dropout": 0.3}


def test_trials_of_another_sampler_are_not_tried_again_by_brute_force(tmp_path):
    space = {"lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}}
    earlier = studies.oracle(tmp_path, "random", space)
    stepped = make_distribution(earlier.spec.space["lora_dropout"])
    earlier.study.add_trial(
        create_trial(
            params={"lora_dropout": 0.1 * 3 - 1e-16}, distributions={"lora_dropout": stepped}, values=[1.0]
        )
    )
    now = studies.oracle(tmp_path, "bruteforce", space)
    tried = [now.ask(number).params["lora_dropout"] for number in (1, 2, 3)]
    assert sorted(tried) == [0.0, 0.1, 0.2] and now.ask(4) is None


def test_the_cells_of_an_earlier_version_are_the_same_cells(tmp_path):
    oracle = studies.oracle(tmp_path, "grid", {"lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1}})
    before = {"lora_dropout": [0.0, 0.1, 0.2, 0.30000000000000004]}
    assert oracle.study.sampler._same_search_space(before)
    assert not oracle.study.sampler._same_search_space({"lora_dropout": [0.0, 0.1, 0.2, 0.31]})


def test_a_value_on_a_log_scale_stays_between_its_ends():
    dimension = Range(1e-5, 1e-2, "float", None, True)
    for value, kept in ((math.exp(math.log(1e-5)), 1e-5), (9.999999999e-6, 1e-5), (1e-2 * (1 + 1e-12), 1e-2)):
        assert from_optuna({"x": dimension}, {"x": value})["x"] == pytest.approx(kept, rel=1e-15)
        assert explain_outside(dimension, from_optuna({"x": dimension}, {"x": value})["x"]) is None
