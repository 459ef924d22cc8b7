"""The study that repeats a trial, what is not as it was, and what "the same" means."""

from __future__ import annotations

import hashlib
import json

import numpy
import pytest
from safetensors.numpy import save_file

from core.store.bundle import (
    adapter_hashes,
    bundle_hash_manifest,
    bundle_writer,
    rerun_comparison,
    rerun_study,
)
from core.store.input_fingerprints import Print, fingerprint_inputs


@pytest.fixture
def original(report, tmp_path, monkeypatch):
    """The bundle of trial 4, read back; its pictures, which nobody reads back, are not drawn."""
    monkeypatch.setattr(bundle_writer, "write_png", lambda plot, path: "")

    def make(trial=None, exported=None, change=None):
        made = report(trial=exported)
        folder = bundle_hash_manifest.make_manifest(
            tmp_path / "bundle", lambda one: bundle_writer.fill(made, one)[0], False, False
        )
        one = rerun_study.read(folder, trial)
        return one if change is None else change(one)

    return make


def test_the_repeating_study_has_one_trial_with_its_knobs_and_the_same_data_and_seed(original):
    one = original()
    spec = rerun_study.make_spec(one, "again", {})
    assert (spec.study.name, spec.study.trials, spec.study.pruner) == ("again", 1, "none")
    assert not spec.space and spec.train == one.trial["knobs"]
    assert spec.study.seed == 0 and spec.data.source == one.raw["data"]["source"]
    assert spec.resources.pack == 1 and spec.evaluate.on_breach == "warn"
    assert rerun_study.make_spec(one, "again", {"model.base": "other/base"}).model.base == "other/base"


def test_a_bundle_cannot_name_a_storage(original):
    one = original()
    one.raw["study"] |= {"storage": "postgresql://evil/${HF_TOKEN}", "warm_start": ["/elsewhere"]}
    study = rerun_study.make_spec(one, "again", {}).study
    assert study.storage == "" and study.warm_start == ()


def test_another_complete_trial_can_be_repeated_and_one_that_failed_cannot(original):
    assert (
        rerun_study.make_spec(original(2), "again", {}).train["lora_rank"]
        == original(2).trial["params"]["lora_rank"]
    )
    with pytest.raises(bundle_hash_manifest.BundleError, match="trial 3 is not complete"):
        original(3)


def test_names_are_free_and_short_enough():
    assert rerun_study.free_name("s", {}) == "s-rerun-1"
    assert rerun_study.free_name("s", {"s-rerun-1": 0, "s-rerun-2": 0}) == "s-rerun-3"
    assert len(rerun_study.free_name("x" * 64, {})) == 64


def test_other_rows_are_seen_and_what_has_no_sum_is_not_sure(original, tmp_path):
    one = original()
    spec = rerun_study.make_spec(one, "again", {})
    same, unsure = rerun_study.compare_data(one, fingerprint_inputs(spec))
    assert same == [] and len(unsure) == 1 and unsure[0].startswith("model.base")
    (tmp_path / "train.jsonl").write_text('{"text": "b"}\n')
    assert rerun_study.compare_data(one, fingerprint_inputs(spec))[0] == [
        "data.source: the content of train.jsonl has changed"
    ]
    (tmp_path / "train.jsonl").unlink()
    assert rerun_study.compare_data(one, fingerprint_inputs(spec))[0] == [
        "data.source: train.jsonl is not on this machine"
    ]


def test_a_commit_of_the_base_is_pinned(original):
    one = original()
    one.prints["model.base"] = Print("hub", "a/b", revision="c" * 40)
    assert rerun_study.make_spec(one, "again", {}).model.revision == "c" * 40


def ran(one, **how):
    one.trial["ran"] = {"beside": [], "devices": ["cpu"], "interrupted": 0, "changed": [], **how}
    one.raw["model"]["precision"] = how.get("precision", "fp32")
    return one


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, []),
        ({"interrupted": 2}, []),
        ({"beside": [1, 2]}, ["it ran in a pack with trials 1, 2"]),
        ({"devices": ["gpu0"]}, ["it ran on a GPU"]),
        ({"precision": "bf16"}, ["its base is in bf16"]),
        ({"changed": ["learning_rate"]}, ["learning_rate changed while it ran"]),
    ],
)
def test_the_same_bits_are_expected_only_where_they_can_be(original, how, why):
    found = rerun_study.list_doubts(ran(original(), **how), [])
    assert len(found) == len(why) and all(
        text.startswith(start) for text, start in zip(found, why, strict=True)
    )
    assert rerun_study.list_doubts(ran(original()), ["torch 2.12 → 2.13"]) == [
        "different here: torch 2.12 → 2.13"
    ]


def adapter(folder, **parts):
    """An adapter's folder with these tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: numpy.array(part, "float32") for name, part in parts.items()}, folder / adapter_hashes.FILE
    )
    return folder


def test_values_and_tensors_are_compared(original, tmp_path):
    one = original()
    value = one.trial["values"]["eval/loss"]
    one.trial["adapter_sha256"] = adapter_hashes.hash_tensors(
        adapter(one.folder / "adapter", a=[3.0, 4.0], b=[1.0])
    )
    same = rerun_comparison.compare(one, {"eval/loss": value}, one.folder / "adapter")
    assert same.identical and same.apart == {"eval/loss": 0.0} and same.other == 0
    near = rerun_comparison.compare(
        one, {"eval/loss": value * (1 + 1e-6)}, adapter(tmp_path / "n", a=[3, 4], b=[1.001])
    )
    assert (
        not near.identical and near.other == 1 and near.agrees_within(1e-5) and not near.agrees_within(1e-7)
    )
    assert near.distance == pytest.approx(1e-3, rel=1e-2)
    lost = rerun_comparison.compare(one, {"eval/loss": float("nan")}, adapter(tmp_path / "l", a=[3, 4]))
    assert lost.other == 1 and not lost.agrees_within(1.0)


def test_an_adapter_that_learnt_something_else_is_not_the_same_at_equal_loss(original, tmp_path):
    one = original()
    one.trial["adapter_sha256"] = adapter_hashes.hash_tensors(
        adapter(one.folder / "adapter", a=[100.0, 0.0], b=[0.1])
    )
    other = rerun_comparison.compare(
        one, one.trial["values"], adapter(tmp_path / "o", a=[100.0, 0.0], b=[-0.1])
    )
    assert other.apart == {"eval/loss": 0.0} and other.distance == 2.0 and not other.agrees_within(1.0)


def test_what_measures_the_machine_is_not_compared(original):
    one = original()
    one.trial["values"] = {"eval/loss": 1.0, "train/tokens_per_s": 100.0, "memory/peak_bytes": 5.0}
    now = {"eval/loss": 1.0, "train/tokens_per_s": 9.0, "memory/peak_bytes": 6.0}
    found = rerun_comparison.compare(one, now, one.folder / "adapter")
    assert found.apart == {"eval/loss": 0.0} and found.clocks == ("train/tokens_per_s", "memory/peak_bytes")


def test_a_bundle_of_another_version_is_explained(original, tmp_path):
    folder = original().folder
    (folder / "data.json").write_text("[1]")
    manifest = json.loads((folder / bundle_hash_manifest.MANIFEST).read_text())
    manifest["files"]["data.json"]["sha256"] = hashlib.sha256(b"[1]").hexdigest()
    (folder / bundle_hash_manifest.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(bundle_hash_manifest.BundleError, match="the bundle cannot be read"):
        rerun_study.read(folder, None)
    del manifest["files"]["data.json"]
    (folder / bundle_hash_manifest.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(bundle_hash_manifest.BundleError, match=r"missing from the manifest: data\.json"):
        rerun_study.read(folder, None)
