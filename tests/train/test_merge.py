"""A merged model says what the base says with its adapter on it."""

from __future__ import annotations

import errno
import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.contract.spec import spec_file
from core.train.base.base_model import load_section
from core.train.commands import merge_adapter

PROMPT = "join the file and the path"


@pytest.fixture
def adapter(bench, tmp_path):
    """A trained trial's adapter, in a study's folder; a keyword of [model] overlays the plain one."""

    def make(**model):
        made = bench(model=model, train={"steps": 30, "learning_rate": 0.02, "sequence_length": 64})
        (tmp_path / "trials").mkdir()
        made.assign(tmp_path / "trials", 0)
        made.finish()
        (tmp_path / "study.toml").write_text(spec_file.write(made.spec))
        return made.spec, tmp_path / "trials" / "0" / "adapter"

    return make


def logits(model, folder):
    ids = AutoTokenizer.from_pretrained(folder)(PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model.eval()(ids).logits.float()


def said(spec, adapter):
    """The logits of the base with the adapter on it, as PEFT makes them."""
    base = load_section(spec.model, torch.device("cpu"), lambda *_: None)
    bare = logits(base.model, adapter)
    return bare, logits(PeftModel.from_pretrained(base.model, adapter), adapter)


def test_logits_of_the_merged_model_are_those_of_the_adapter(adapter, tmp_path):
    spec, folder = adapter(precision="fp32")
    assert merge_adapter.main([str(folder), str(tmp_path / "out")]) == 0
    bare, tuned = said(spec, folder)
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "out"), tmp_path / "out")
    assert (merged - tuned).abs().max() < 1e-4 < 0.1 < (bare - tuned).abs().max()
    assert sorted(one.name for one in (tmp_path / "out").glob("*.safetensors")) == ["model.safetensors"]


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_a_quantised_base_is_dequantised_and_that_is_said(adapter, tmp_path, capsys, precision):
    spec, folder = adapter(precision=precision)
    assert merge_adapter.main([str(folder), str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    assert f"dequantising the base model from {precision} to bf16" in told
    assert "on the CPU, to leave GPU memory to running trials" in told
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["dtype"] == "bfloat16" and "quantization_config" not in config
    bare, tuned = said(spec, folder)
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "out"), tmp_path / "out")
    change = (tuned - bare).norm()
    assert (merged - tuned).norm() < 0.1 * change  # bf16 rounds; the adapter's change is there


def test_a_folder_that_is_there_is_left_alone(adapter, tmp_path, capsys):
    _, folder = adapter()
    assert merge_adapter.main([str(folder), str(tmp_path)]) == 1
    assert "the output path already exists" in capsys.readouterr().err
    assert merge_adapter.main([str(tmp_path), str(tmp_path / "out")]) == 1
    assert "this is not a usable adapter" in capsys.readouterr().err


def test_a_disk_that_gets_full_leaves_nothing(adapter, tmp_path, capsys, monkeypatch):
    _, folder = adapter()
    before = sorted(tmp_path.iterdir())

    class Full:
        def save_pretrained(self, place):
            place.mkdir(exist_ok=True)
            (place / "model.safetensors").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(merge_adapter, "load_merged", lambda *_: (Full(), None))
    assert merge_adapter.main([str(folder), str(tmp_path / "out")]) == 1
    assert "No space left on device" in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before
