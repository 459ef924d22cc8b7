"""Knobs that are searched only where another one has some value."""

import pytest

from core.contract.spec import conditional_knobs, spec_file
from core.errors import SpecError
from tests.search import studies

SPACE = {
    "weight_decay": {
        "low": 1e-3,
        "high": 0.1,
        "log": True,
        "when": {"optimizer": ["adamw"]},
        "otherwise": 0.0,
    },
    "optimizer": ["adamw", "sgd", "adafactor"],
    "clip_norm": {"low": 0.1, "high": 1.0, "when": {"optimizer": "sgd"}},
}


def test_a_file_with_conditions_is_read_and_written_as_it_is():
    spec = studies.spec("tpe", SPACE)
    assert spec_file.parse(spec_file.convert_to_raw(spec)) == spec
    assert spec.space["weight_decay"].when == {"optimizer": ("adamw",)}
    assert conditional_knobs.order_knobs(spec.space) == ["optimizer", "weight_decay", "clip_norm"]


def test_a_point_has_only_what_is_searched_there():
    space = studies.spec("tpe", SPACE).space
    assert conditional_knobs.list_searched(space, {"optimizer": "sgd"}) == ["optimizer", "clip_norm"]
    point = {"optimizer": "adafactor", "weight_decay": 0.0, "clip_norm": 1.0}
    assert conditional_knobs.find_misfit(space, point) is None
    assert conditional_knobs.find_misfit(space, {**point, "weight_decay": 0.01}) == "weight_decay"
    assert conditional_knobs.find_misfit(space, {**point, "optimizer": "adamw"}) == "weight_decay"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"clip_norm": {"low": 0, "high": 1, "when": {"optimizer": "sgd"}}}, "optimizer is not searched"),
        ({**SPACE, "clip_norm": {"low": 0, "high": 1, "when": {"optimizer": "sgdm"}}}, "is never 'sgdm'"),
        ({"clip_norm": {"low": 0, "high": 1, "when": "sgd"}}, "'sgd' is not a table of knobs"),
        ({"clip_norm": {"low": 0, "high": 1, "otherwise": 1.0}}, "is allowed only with when"),
        (
            {**SPACE, "clip_norm": {"low": 0, "high": 1, "when": {"optimizer": "sgd"}, "otherwise": -1}},
            "-1 must",
        ),
        (
            {
                "lora_rank": {"choice": [2, 4], "when": {"batch_size": 2}},
                "batch_size": {"choice": [1, 2], "when": {"lora_rank": 2}},
            },
            "lora_rank and batch_size hang on each other",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said(space, told):
    with pytest.raises(SpecError, match=told):
        studies.spec("tpe", space)


@pytest.mark.parametrize("sampler", ["grid", "bruteforce"])
def test_samplers_that_count_a_space_take_no_conditions(sampler):
    space = {"optimizer": ["adamw", "sgd"], "lora_rank": {"choice": [2, 4], "when": {"optimizer": "sgd"}}}
    with pytest.raises(
        SpecError, match=f"the {sampler} sampler does not support conditions, and lora_rank has one"
    ):
        studies.spec(sampler, space)
