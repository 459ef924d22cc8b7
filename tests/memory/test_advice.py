"""What fits, how far one could go, and what to change: said in numbers, never above the limit."""

from __future__ import annotations

import json

import msgspec
import pytest

from core.contract.events.event_types import Device as Card
from core.contract.spec.spec_file import parse
from core.contract.text import byte_sizes
from core.errors import TrimtabError
from core.memory.base import config_json_lookup
from core.memory.base.model_shape import describe
from core.memory.estimate import device_constants
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting
from core.memory.estimate.trial_tensor_sizes import Need
from core.memory.planning import memory_advice, memory_budget, space_extremes
from core.memory.planning.memory_advice import Case
from core.memory.records.estimate_corrections import EstimateCorrections
from tests.memory.test_estimate import QWEN7B

GIB = 2**30
CARD = Device("cuda", "a card", 24 * GIB, 24 * GIB)


def case(limit: float, **more) -> Case:
    need = msgspec.structs.replace(Need(16, 4, 1024), **more)
    return Case(QWEN7B, Setting("nf4"), need, 1, CARD, round(limit * GIB))


def test_the_largest_batch_length_and_pack_fit_and_one_more_does_not():
    one = case(22)
    rows, length = memory_advice.find_largest_batch(one), memory_advice.find_largest_length(one)
    assert rows >= 1 and one.replace_knobs(rows=rows).fits() and not one.replace_knobs(rows=rows + 1).fits()
    assert one.replace_knobs(length=length).fits() and not one.replace_knobs(length=length + 1).fits()
    assert memory_advice.find_largest_pack(case(1)) == 0


def test_the_cheapest_change_that_makes_a_misfit_fit_comes_first_and_fits():
    one = case(20)
    assert not one.fits()
    text = memory_advice.advise(one)[1]
    assert text.startswith("it fits with batch_size 2 with 2 × the gradient_accumulation: ")
    assert one.replace_knobs(rows=2, accumulates=True).fits()


def test_several_changes_where_one_is_not_enough_and_a_word_where_none_is():
    assert memory_advice.advise(case(7.5, length=4096, rows=8))[1].startswith(
        "it fits with batch_size 1, model.grad"
    )
    assert memory_advice.advise(case(2))[1].startswith("no single change makes it fit")


def test_what_dominates_and_what_it_answers_to():
    assert memory_advice.find_dominant_part(case(24).estimate()).startswith("activations dominate with ")
    assert memory_advice.find_dominant_part(case(24, rows=1, length=16).estimate()).startswith(
        "base model dominates with 5."
    )


@pytest.mark.parametrize(
    ("asked", "free", "ours", "is_", "why"),
    [
        (None, 20, 0, 20 - 0.72, "24.0 GiB, 4.0 GiB used by other processes, 0.7 GiB reserved"),
        (None, 4, 16, 20 - 0.72, "24.0 GiB, 4.0 GiB used by other processes, 0.7 GiB reserved"),
        (10, 20, 0, 10, "resources.memory = 10.0 GiB"),
        (22, 20, 0, 20, "24.0 GiB, 4.0 GiB used by other processes, less than resources.memory = 22.0 GiB"),
    ],
)
def test_the_limit_is_what_is_free_or_ours_or_what_was_asked_for(asked, free, ours, is_, why):
    there = Device("cuda", "a card", 24 * GIB, free * GIB)
    found = memory_budget.find_limit(asked and asked * GIB, there, ours * GIB)
    assert found.bytes_ == pytest.approx(is_ * GIB) and found.why == why


def test_a_device_that_does_not_say_what_it_has_has_no_limit():
    assert memory_budget.find_limit(None, device_constants.make_card(Card(0, "a card"))).bytes_ is None


@pytest.mark.parametrize(
    ("asked", "word"), [(100 * 2**20, "less than an empty process uses"), (3 * GIB, "base model")]
)
def test_a_limit_below_what_is_needed_anyway_is_an_error(asked, word):
    with pytest.raises(TrimtabError) as caught:
        memory_budget.check(asked, CARD, 6 * GIB, "study.toml [resources]")
    assert word in str(caught.value) and caught.value.problems[0].fix


# -- configurations --------------------------------------------------------------------------------


def written(folder, content) -> str:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return str(folder)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"model_type": "llama"}, "lacks hidden_size, intermediate_size, num_attention_heads, "),
        ("[1, 2]", "is not a JSON object"),
        ("{", "could not be read"),
        ({"model_type": "mixtral", "num_local_experts": 8, "hidden_size": 64, "intermediate_size": 64,
          "num_attention_heads": 4, "vocab_size": 9, "num_hidden_layers": 2}, "experts"),
    ],
)  # fmt: skip
def test_a_configuration_of_no_use_is_told_with_what_is_missing(tmp_path, content, word):
    with pytest.raises(TrimtabError) as caught:
        config_json_lookup.read_model(written(tmp_path, content))
    problem = caught.value.problems[0]
    assert word in problem.what and problem.where and problem.fix


def test_a_hub_model_is_found_in_the_cache_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--some--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    written(place / "snapshots" / "abc", config_json_lookup.SMOLLM2)
    assert config_json_lookup.read_model("some/model").parameters == 134_515_008
    with pytest.raises(TrimtabError, match="not downloaded yet"):
        config_json_lookup.read_model("some/other", fetch=False)


# -- the ledger ------------------------------------------------------------------------------------


def test_what_was_measured_corrects_what_is_foretold_and_is_kept(tmp_path):
    file = tmp_path / "memory.json"
    ledger = EstimateCorrections(file)
    for measured in (110, 120, 130):
        ledger.learn("a card", 100, measured)
    ledger.save()
    assert EstimateCorrections(file).find("a card").factor == pytest.approx(1.2)
    assert EstimateCorrections(file).find("another").factor == 1.0


def test_memory_that_ended_is_never_foretold_to_hold_again():
    ledger = EstimateCorrections()
    ledger.learn("a card", 100, 100)
    ledger.learn_oom("a card", estimated=100, available=140)
    assert ledger.find("a card").factor > 1.4


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b'{"a": 1}'])
def test_a_ledger_that_cannot_be_read_is_as_if_there_were_none(tmp_path, content):
    (tmp_path / "memory.json").write_bytes(content)
    assert EstimateCorrections(tmp_path / "memory.json").find("a").factor == 1.0


def test_measures_that_make_no_sense_teach_nothing():
    ledger = EstimateCorrections()
    for foretold, measured in ((0, 5), (5, 0), (5, -1)):
        ledger.learn("a", foretold, measured)
    assert ledger.find("a").ratios == []


# -- sizes and spaces ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"), [("22 GiB", 22 * GIB), ("512MB", 512 * 10**6), (7, 7), ("1.5k", 1500)]
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert byte_sizes.parse(text) == count


@pytest.mark.parametrize("text", ["", "much", "-3 GiB", "0", 0, True, "5 parsecs", None])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        byte_sizes.parse(text)


def test_the_corners_of_a_space_are_its_smallest_and_largest_trial():
    spec = parse({
        "study": {"name": "s"}, "model": {"base": "x"}, "data": {"source": "y"},
        "space": {
            "lora_rank": [8, 64, 16], "batch_size": {"low": 1, "high": 8}, "optimizer": ["adamw", "sgd"],
            "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
        },
    })  # fmt: skip
    small, large = space_extremes.find_extremes(spec, lambda knobs: 2 if knobs["optimizer"] == "adamw" else 1)
    assert (small["lora_rank"], small["batch_size"], small["optimizer"]) == (8, 1, "sgd")
    assert (large["lora_rank"], large["batch_size"], large["optimizer"]) == (64, 8, "adamw")
    assert space_extremes.estimate_fitting_share(
        spec, lambda knobs: knobs["optimizer"] == "sgd"
    ) == pytest.approx(0.5, abs=0.1)


def test_no_longer_sequence_is_advised_than_the_model_was_made_for():
    one = case(2000)
    small = Case(
        msgspec.structs.replace(QWEN7B, positions=64), one.setting, one.need, 1, CARD, one.limit_bytes
    )
    lines = memory_advice.advise(small)
    assert "sequence_length 64 (the model's limit)" in lines[-1]
    assert "sequence_length 1024: the model supports up to 64 tokens" in lines
    assert (
        describe(
            {
                "model_type": "gpt2",
                "n_embd": 8,
                "n_head": 1,
                "n_layer": 1,
                "vocab_size": 9,
                "n_positions": 64,
            },
            "x",
        ).positions
        == 64
    )
