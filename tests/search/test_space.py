"""The space in Optuna's terms and back."""

from __future__ import annotations

import pytest

from core.contract import knobs
from core.contract.space import Choice, Range
from core.search.oracle import Oracle
from core.search.space import distribution, grid, restored, stored
from tests.search import studies

EVERY_KNOB = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "batch_size": {"low": 1, "high": 8},
    "gradient_accumulation": [1, 2, 4],
    "sequence_length": {"low": 64, "high": 512, "step": 64},
    "lora_rank": {"low": 2, "high": 64, "log": True},
    "lora_alpha": {"low": 1, "high": 64},
    "lora_dropout": {"low": 0.0, "high": 0.2, "step": 0.05},
    "target_modules": ["attention", "all-linear", ["q_proj"], ["q_proj", "v_proj"]],
    "optimizer": list(knobs.OPTIMIZERS),
    "weight_decay": [0.0, 0.01],
    "warmup": {"low": 0.0, "high": 0.1},
    "scheduler": list(knobs.SCHEDULERS),
    "clip_norm": {"low": 0.5, "high": 2.0},
    "epochs": {"low": 0.5, "high": 3.0, "step": 0.5},
    "steps": {"low": 10, "high": 100, "step": 10},
    "initialisation": list(knobs.INITIALISATIONS),
    "seed": {"low": 0, "high": 99},
}


def test_a_space_of_every_knob_gives_knobs_that_a_trial_takes(tmp_path):
    assert set(EVERY_KNOB) == set(knobs.KNOBS), "a new knob needs a row here"
    oracle = Oracle(studies.raw("tpe", EVERY_KNOB), str(tmp_path))
    for number in range(8):
        proposal = oracle.ask(number)
        assert set(proposal.params) == set(EVERY_KNOB) and set(proposal.knobs) == set(knobs.KNOBS)
        for name, value in proposal.knobs.items():
            assert knobs.fault(knobs.KNOBS[name], value) is None, (name, value)
        assert proposal.params["target_modules"] in EVERY_KNOB["target_modules"]
        assert type(proposal.params["lora_alpha"]) is float and type(proposal.params["lora_rank"]) is int
        oracle.tell(number, "complete", [1.0 / (number + 1)])


def test_a_list_of_modules_is_stored_as_json_and_comes_back():
    dimension = Choice(("attention", ["q_proj", "v_proj"]))
    choices = distribution(dimension).choices
    assert choices == ("attention", '["q_proj", "v_proj"]')
    back = [restored({"target_modules": dimension}, {"target_modules": one}) for one in choices]
    assert [one["target_modules"] for one in back] == ["attention", ["q_proj", "v_proj"]]


def test_fixed_knobs_come_from_train(tmp_path):
    raw = {**studies.raw(), "train": {"lora_alpha": 7.0}}
    proposal = Oracle(raw, str(tmp_path)).ask(0)
    assert proposal.knobs["lora_alpha"] == 7.0 and "lora_alpha" not in proposal.params


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Range(1, 7, "int", 3), [1, 4, 7]),
        (Range(0, 2, "int"), [0, 1, 2]),
        (Range(0.0, 0.3, "float", 0.1), pytest.approx([0.0, 0.1, 0.2, 0.3])),
        (Choice((["a"], "mlp")), [stored(["a"]), "mlp"]),
    ],
)
def test_the_grid_counts_each_dimension(dimension, values):
    assert grid({"x": dimension})["x"] == values


def test_a_study_without_a_space_has_one_trial(tmp_path):
    oracle = Oracle(studies.raw("tpe", {}), str(tmp_path))
    assert oracle.ask(0).params == {} and oracle.ask(1) is None
