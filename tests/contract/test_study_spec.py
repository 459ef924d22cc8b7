"""The typed spec: one place of defaults, and a reader that no map of an old journal stops."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.spec import spec_file, spec_schema, study_spec
from core.contract.spec.knob_table import KNOBS
from core.contract.spec.search_space import Choice, Range

RAW = {
    "study": {"name": "s", "objectives": ["quality/loss", "train/tokens_per_s"], "pruner": "none",
              "threshold": {"lower": 1}, "population": {"factors": [0.5, 2]}},
    "model": {"base": "b"},
    "data": {"source": "d", "validation": "held.jsonl"},
    "train": {"steps": 7},
    "space": {"lora_rank": [2, 4], "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}},
    "evaluate": {"limits": ["quality/loss <= 4"], "boards": ["quality"]},
    "resources": {"devices": [0, 1], "lease_s": 30},
}  # fmt: skip
MINIMAL = {"study": {"name": "s"}, "model": {"base": "b"}, "data": {"source": "d"}}
SECTIONS = sorted(spec_schema.SECTIONS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("low", "high", "step", "log", "choice", "when", "otherwise")
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, ANYTHING))


def builtin(value: Any) -> Any:
    """A struct, a pydantic model or what is in them as lists and tables."""
    if isinstance(value, spec_schema.Section):
        return {name: builtin(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, list):
        return [builtin(one) for one in value]
    return json.loads(msgspec.json.encode(value))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_validated_section_has_the_defaults_of_the_typed_one(section):
    validated, typed = spec_file.parse(MINIMAL), study_spec.read(MINIMAL)
    assert list(spec_schema.SECTIONS[section].model_fields) == list(getattr(typed, section).__struct_fields__)
    assert builtin(getattr(validated, section)) == builtin(getattr(typed, section))


def test_a_population_has_the_same_defaults():
    assert builtin(spec_schema.Population()) == builtin(study_spec.PopulationOptions())


def test_what_was_validated_is_read_as_it_is():
    raw = {**RAW, "study": {**RAW["study"], "objectives": ["quality/loss"], "threshold": {}}}
    raw["train"], raw["space"] = {"steps": 200}, {"lora_rank": [2, 4], "learning_rate": [1e-5, 1e-4]}
    whole = spec_file.parse(raw)
    typed = study_spec.read(spec_file.convert_to_raw(whole))
    for section in SECTIONS:
        assert builtin(getattr(whole, section)) == builtin(getattr(typed, section))
    assert typed.space == whole.space
    assert all(typed.train[name] == value for name, value in whole.train.items() if name not in whole.space)
    assert typed.population_size == 20


def test_lists_numbers_and_short_forms_get_their_types():
    typed = study_spec.read(RAW)
    assert [(objective.metric, objective.direction) for objective in typed.study.objectives] == [
        ("quality/loss", "minimize"), ("train/tokens_per_s", "maximize"),
    ]  # fmt: skip
    assert typed.study.threshold.lower == 1.0 and typed.study.population.factors == (0.5, 2.0)
    assert typed.space == {"lora_rank": Choice((2, 4)), "learning_rate": Range(1e-5, 1e-3, log=True)}
    assert typed.resources.devices == (0, 1) and isinstance(typed.resources.lease_s, float)
    assert typed.train["steps"] == 7 and typed.train["batch_size"] == 4


def test_only_the_value_that_cannot_be_read_is_lost():
    raw = {"study": {"trials": "many", "seed": 3}, "evaluate": {"every": 0, "rows": 9}, "resources": 5}
    typed = study_spec.read(raw)
    assert (typed.study.trials, typed.study.seed) == (20, 3)
    assert (typed.evaluate.every, typed.evaluate.rows) == (50, 9)
    assert typed.resources == study_spec.ResourceOptions()


def test_a_dimension_of_another_version_keeps_its_values():
    raw = {
        "new_knob": {"low": 1, "high": 2, "shape": "round"},
        "lora_rank": [0, 4],
        "steps": {"low": None, "high": 5},
        "odd": 7,
    }
    assert study_spec.read_space(raw) == {"new_knob": Range(1, 2), "lora_rank": Choice((0, 4))}


@given(st.dictionaries(st.sampled_from([*SECTIONS, "train", "space"]), ANYTHING))
def test_no_map_stops_the_reader(raw):
    assert isinstance(study_spec.read(raw), study_spec.StudySpec)


@given(st.dictionaries(st.sampled_from(list(KNOBS)), ENTRY))
def test_no_space_stops_the_reader(space):
    study_spec.read({"space": space})


def test_a_map_is_read_once():
    assert study_spec.from_raw(RAW) is study_spec.from_raw(RAW)
    assert study_spec.from_raw(dict(RAW)) == study_spec.from_raw(RAW)
