"""What people type is read as they mean it, and what is wrong is said at once."""

import pytest
from msgspec.structs import replace

from core.contract.edits import input_values, knob_edit_checks
from core.contract.spec.knob_table import KNOBS
from core.contract.state.engine_state import Study, Trial
from tests.tui.scene import SPEC

STUDY = Study("a", spec=SPEC)
RUNNING = Trial(0, state="running", step=210, total_steps=400, knobs={"learning_rate": 1e-3, "steps": 400})


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("learning_rate", " 1e-4 ", 1e-4),
        ("learning_rate", "1", 1.0),
        ("batch_size", "8", 8),
        ("batch_size", "1e1", 10),
        ("steps", "", None),
        ("steps", "none", None),
        ("optimizer", "AdamW", "adamw"),
        ("target_modules", "attention", "attention"),
        ("target_modules", "q_proj", ["q_proj"]),
        ("target_modules", '["q_proj", "v_proj"]', ["q_proj", "v_proj"]),
        ("target_modules", "q_proj+v_proj", ["q_proj", "v_proj"]),
        ("evaluate_every", "20", 20),
    ],
)
def test_a_value_is_read_as_it_is_meant(name, said, value):
    read = input_values.parse_knob(knob_edit_checks.EDITABLE[name], said)
    assert read == input_values.Read(value) and type(read.value) is type(value)


@pytest.mark.parametrize(
    ("name", "said", "wrong"),
    [
        ("learning_rate", "zebra", "must be a number"),
        ("learning_rate", "", "a value is needed"),
        ("learning_rate", "nan", "must be finite"),
        ("learning_rate", "-1", "must be above 0"),
        ("batch_size", "4.5", "must be a whole number"),
        ("batch_size", "9" * 400, "must be a whole number"),
        ("lora_dropout", "0.99", "must be at most 0.95"),
        ("optimizer", "lion", "must be one of adamw"),
        ("target_modules", ",", "every module name must be"),
        ("evaluate_every", "0", "must be at least 1"),
    ],
)
def test_what_is_wrong_is_said(name, said, wrong):
    assert input_values.parse_knob(knob_edit_checks.EDITABLE[name], said).wrong.startswith(wrong)


@pytest.mark.parametrize("said", ["x0.5", "*0.5", "× 0.5", "x.5"])
def test_a_factor_is_what_the_engine_takes_it_for(said):
    read = input_values.parse_edit(RUNNING, "learning_rate", said)
    assert not read.wrong and knob_edit_checks.resolve_factors(
        RUNNING.knobs, {"learning_rate": read.value}
    ) == {"learning_rate": 5e-4}


@pytest.mark.parametrize("said", ["x", "x-1", "x0", "xx2", "xinf", "*1e999"])
def test_what_is_no_factor_is_said(said):
    assert "is not a factor" in input_values.parse_edit(RUNNING, "learning_rate", said).wrong


def test_steps_must_lie_ahead():
    assert (
        input_values.parse_edit(RUNNING, "steps", "210").wrong == "must be above 210, the steps already done"
    )
    assert input_values.parse_edit(RUNNING, "steps", "").wrong
    assert input_values.parse_edit(RUNNING, "steps", "500") == input_values.Read(
        500, note="290 to go, was 400"
    )


def test_a_value_is_written_so_that_it_can_be_read_again():
    for knob in KNOBS.values():
        for value in (knob.default, *knob.choices):
            assert input_values.parse_knob(knob, input_values.format_value(value)).value == value
    modules = ["q_proj", "v_proj"]
    assert (
        input_values.parse_knob(KNOBS["target_modules"], input_values.format_value(modules)).value == modules
    )


def test_a_value_from_which_the_sampler_learns_nothing_is_named():
    assert input_values.explain_unlearnt(STUDY, "learning_rate", 1e-4) == ""
    assert input_values.explain_unlearnt(STUDY, "learning_rate", 0.1).startswith(
        "outside the space: the sampler will not"
    )
    assert input_values.explain_unlearnt(STUDY, "lora_rank", 64).endswith("(is not one of 8, 16, 32)")
    assert input_values.explain_unlearnt(STUDY, "clip_norm", 1.0) == ""
    assert input_values.explain_unlearnt(STUDY, "clip_norm", 0.5).startswith("not as all trials have it")


def test_what_is_allowed_is_the_space_else_the_table():
    assert input_values.describe_range(STUDY, KNOBS["learning_rate"]) == "1e-05 to 0.001 log"
    assert input_values.describe_range(STUDY, KNOBS["lora_dropout"]) == "0 0.05"
    assert input_values.describe_range(STUDY, KNOBS["lora_alpha"]) == "above 0 to 65536"
    assert input_values.describe_range(STUDY, KNOBS["sequence_length"]) == "from 8 tokens"


@pytest.mark.parametrize("text", ["x0.5", "x 2", "×.5", "X1e-3", "*2."])
def test_a_factor_means_the_same_where_it_is_typed_and_in_the_engine(text):
    read = input_values.parse_edit(RUNNING, "learning_rate", text)
    assert knob_edit_checks.read_factor(read.value) == knob_edit_checks.read_factor(text) > 0


def test_the_knobs_are_those_of_now():
    known = input_values.list_current_values(STUDY, RUNNING)
    assert (known["learning_rate"], known["steps"], known["evaluate_every"]) == (1e-3, 400, 20)
    assert input_values.list_current_values(STUDY, None)["steps"] == 400


def test_an_edit_that_is_under_way_is_what_the_next_one_begins_from():
    editing = replace(RUNNING, editing={"learning_rate": 5e-4})
    assert input_values.parse_edit(editing, "learning_rate", "x0.5").note == "0.0005 × 0.5"
