"""The model card is one that Hugging Face reads, and says what a person needs to know."""

import os

from huggingface_hub import ModelCard
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.store.report.markdown_escape import escape
from core.store.report.model_card import write_card
from tests.hostile import TEXTS, harm


def test_hugging_face_reads_base_model_library_metrics_and_results(report):
    read = ModelCard(write_card(report()))
    assert read.data.base_model == "Qwen/Qwen2.5-7B-Instruct" and read.data.library_name == "peft"
    assert "lora" in read.data.tags and "loss" in read.data.metrics and read.data.get("datasets") is None
    results = {eval_result.metric_name: eval_result for eval_result in read.data.eval_results}
    assert results["eval/loss"].metric_value == report().values["eval/loss"]
    toxic = results["safety/toxicity"]
    assert toxic.metric_type == "toxicity" and toxic.metric_args["low"] < toxic.metric_value
    assert toxic.metric_args["samples"] == 160 and toxic.dataset_name == "train.jsonl"
    assert "security/exposure" not in results  # it has no value


def test_it_tells_data_knobs_boards_limits_and_how_to_repeat_it(report):
    shown = write_card(report())
    assert "7 rows; sha256" in shown and "Base in nf4" in shown
    assert "| `lora_rank` | `8` | searched |" in shown
    assert "### Safety" in shown and "| ≤ 8% | broken |" in shown
    assert "breaks its limit (≤ 8%)" in shown and "no canaries were planted" in shown
    assert "chosen from 3 complete ones" in shown and "trimtab rerun" in shown
    assert "torch 2.13.0" in shown and "sampler | tpe" in shown


def test_a_key_that_the_study_file_leaves_out_has_its_default(report, events):
    spec = {**events[0].spec, "data": {"source": "train.jsonl"}, "study": {"name": "tidy"}}
    shown = write_card(report([replace(events[0], spec=spec), *events[1:]]))
    assert "rows as auto, split train; 10 % of the rows held out for validation" in shown
    assert "sampler | tpe" in shown and "pruner | median" in shown


def test_data_that_changed_since_the_study_began_is_said_to_have(report, tmp_path):
    os.utime(tmp_path / "train.jsonl", (1.0, 1.0))
    assert "changed after the study began" not in write_card(report())
    os.utime(tmp_path / "train.jsonl", (2e9, 2e9))
    assert "changed after the study began" in write_card(report())


def test_without_a_complete_trial_it_says_so_and_reports_nothing_as_a_result(report, events):
    shown = write_card(report(events[:3]))
    assert "there is no adapter" in shown
    assert ModelCard(shown).data.eval_results is None and "## Use" not in shown


def test_hostile_text_is_neither_markup_nor_front_matter(report, events):
    evil = "---\nlicense: mit\n<script>alert(1)</script> [x](http://evil) | `a` @you"
    spec = {**events[0].spec, "data": {**events[0].spec["data"], "source": evil}}
    shown = write_card(report([replace(events[0], spec=spec), *events[1:]]))
    assert ModelCard(shown).data.get("license") is None
    assert "<script" not in shown.split("---\n")[-1]
    for one in (evil, *TEXTS):
        assert not harm(escape(one)) and "\n" not in escape(one) and "://" not in escape(one)
        assert "<" not in escape(one)


def test_a_trial_in_a_pack_does_not_promise_the_same_bits(report, events):
    together = [
        replace(event, worker="w") if isinstance(event, e.TrialStarting) else event for event in events
    ]
    begun = [one for one in together if isinstance(one, e.TrialStarting | e.TrialRunning | e.TrialQueued)]
    rest = [one for one in together[1:] if one not in begun]
    assert "not bit for bit" in write_card(report([together[0], *begun, *rest]))
    assert "gives the same bits" in write_card(report())
