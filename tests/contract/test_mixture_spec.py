"""A mixture in a study file: its keys, its knobs, and what is wrong with it."""

from __future__ import annotations

import msgspec
import pytest

from core.contract.spec import spec_file, study_spec, toml_reader
from core.contract.spec.data.mixture_source import OWN, MixtureSource
from core.errors import SpecError

FILE = """
[study]
name = "mixed"
pruner = "none"
objectives = ["eval/loss", "eval/loss/general"]
constraints = ["eval/loss/code <= 2.5"]

[model]
base = "m"

[data]
temperature = 2.0

[[data.mixture]]
name = "code"
source = "code.jsonl"

[[data.mixture]]
name = "web"
source = "all.jsonl"
where = { task = ["web", "forum"] }
weight = 2.0

[[data.mixture]]
name = "general"
source = "earlier.jsonl"
validation = "held.jsonl"
replay = true

[space]
"weight.code" = { low = 0.1, high = 10, log = true }
replay = { low = 0.0, high = 0.3 }
"""


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(FILE)
    return toml_reader.read(path)


def faults(raw) -> str:
    with pytest.raises(SpecError) as error:
        spec_file.parse(raw)
    return str(error.value)


def test_a_mixture_survives_a_round_trip(raw):
    spec = spec_file.parse(raw)
    assert spec_file.parse(spec_file.convert_to_raw(spec)) == spec
    assert study_spec.read(spec_file.convert_to_raw(spec)) == spec


def test_each_source_has_a_knob_and_so_has_replay(raw):
    spec = spec_file.parse(raw)
    assert [knob.name for knob in spec.knobs[-4:]] == [
        "weight.code",
        "weight.web",
        "weight.general",
        "replay",
    ]
    assert spec.train["weight.web"] == 2.0 and spec.train["weight.general"] is None
    assert spec.space["weight.code"].log and spec.space["replay"].high == 0.3
    plain = spec_file.parse({"study": {"name": "s"}, "model": {"base": "m"}, "data": {"source": "d"}})
    assert not any(name.startswith(("weight.", "replay")) for name in plain.train)


def test_a_weight_may_be_written_without_quotes(raw):
    searched = raw["space"].pop("weight.code")
    raw["space"]["weight"] = {"code": searched}
    assert spec_file.parse(raw).space["weight.code"].high == 10


def test_a_source_takes_over_what_it_does_not_say(raw):
    raw["data"] |= {"source": "all.jsonl", "prompt_key": "q"}
    del raw["data"]["mixture"][1]["source"]
    code, web, general = (section for _, section in spec_file.parse(raw).data.sources)
    assert (code.source, web.source, general.validation) == ("code.jsonl", "all.jsonl", "held.jsonl")
    assert {section.prompt_key for section in (code, web, general)} == {"q"} and web.mixture == ()


def test_a_source_may_set_every_key_of_data_that_does_not_hold_for_all():
    own = {field.name for field in msgspec.structs.fields(MixtureSource)} - set(OWN)
    data = {field.name for field in msgspec.structs.fields(study_spec.DataOptions)}
    assert own == data - {"mixture", "temperature", "deduplicate", "contamination", "allow"}


def test_paths_of_sources_are_taken_from_the_files_folder(tmp_path):
    for name in ("code", "all", "earlier", "held"):
        (tmp_path / f"{name}.jsonl").touch()
    (tmp_path / "study.toml").write_text(FILE)
    sections = [section for _, section in spec_file.load(tmp_path / "study.toml").data.sources]
    assert sections[0].source == str(tmp_path / "code.jsonl")
    assert sections[2].validation == str(tmp_path / "held.jsonl")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mixture": []}, "source is missing"),
        ({"source": "d"}, "source is not used: each entry of the mixture has its own"),
        ({"temperature": 0.0}, "temperature = 0.0"),
    ],
)
def test_a_fault_of_the_section_is_told(raw, change, told):
    raw["data"] |= change
    assert told in faults(raw)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "a.b"}, "letters, digits"),
        ({"source": "all.jsonl", "where": {"task": ["web", "forum"]}}, "code and web have the same rows"),
        ({"weight": -1.0}, "mixture.0.weight = -1.0: input should be greater than or equal to 0"),
        ({"wieght": 1.0}, "unknown key"),
        ({"where": {"task": 1.5}}, "mixture.0.where = 1.5"),
    ],
)
def test_a_fault_of_a_source_is_told(raw, change, told):
    raw["data"]["mixture"][0] |= change
    assert told in faults(raw)


def test_a_mixture_has_two_sources_and_not_all_are_earlier_data(raw):
    raw["study"] |= {"objectives": ["eval/loss"], "constraints": []}
    raw["space"] = {}
    sources = raw["data"]["mixture"]
    raw["data"]["mixture"] = sources[:1]
    assert "a mixture of a single source" in faults(raw)
    raw["data"]["mixture"] = [source | {"replay": True} for source in sources]
    assert "every source has replay = true" in faults(raw)


def test_two_sources_may_be_parts_of_one_file(raw):
    raw["data"]["mixture"][0] |= {"source": "all.jsonl", "where": {"task": "code"}}
    assert len(spec_file.parse(raw).data.sources) == 3


def test_two_sources_have_two_names(raw):
    raw["data"]["mixture"][2]["name"] = "web"
    raw["study"]["objectives"] = ["eval/loss"]
    assert "'web' is used twice" in faults(raw)


def test_a_source_of_its_own_is_not_validated_on_the_rows_of_another(raw):
    raw["data"]["validation"] = "other.jsonl"
    assert "'other.jsonl' is not of code" in faults(raw) and "not of general" not in faults(raw)


def test_a_knob_of_no_source_is_unknown(raw):
    raw["space"]["weight.cdoe"] = [1.0, 2.0]
    assert "unknown knob 'weight.cdoe'" in faults(raw) and "did you mean 'weight.code'?" in faults(raw)
    raw["train"] = {"weight.web": 3.0}
    del raw["space"]["weight.cdoe"]
    assert "weight.web is 3.0 in [train] and 2 in the mixture" in faults(raw)


def test_a_knob_of_a_mixture_says_what_the_study_lacks(raw):
    raw["space"] = {"replay": [0.1, 0.2], "neftune_noise_alpha": ["none", 5.0]}
    raw["data"]["mixture"] = [part | {"replay": False} for part in raw["data"]["mixture"]]
    assert "it needs a source with replay = true" in faults(raw) and "a number; 0 is none" in faults(raw)
    raw["data"] = {"source": "all.jsonl"}
    raw["space"] = {"weight.code": [1.0, 2.0]}
    assert "it needs [[data.mixture]] with a source of this name" in faults(raw)


def test_all_weights_cannot_be_zero(raw):
    del raw["space"]["weight.code"]
    raw["data"]["mixture"][0]["weight"] = raw["data"]["mixture"][1]["weight"] = 0.0
    assert "the weights of all training sources are 0" in faults(raw)


def test_a_loss_of_no_source_is_not_evaluated(raw):
    raw["study"]["objectives"][1] = "eval/loss/genral"
    assert "eval/loss/genral is not evaluated" in faults(raw) and "general" in faults(raw)
    raw["study"]["objectives"][1] = "eval/forgetting"
    assert spec_file.parse(raw)
    raw["data"]["mixture"] = [part | {"replay": False} for part in raw["data"]["mixture"]]
    del raw["space"]["replay"]
    assert "eval/forgetting is not evaluated: no source is replayed" in faults(raw)
