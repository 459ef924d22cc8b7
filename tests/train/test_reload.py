"""A trial is complete when PEFT has loaded its adapter back and it says the same."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
import transformers as tf
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from core.contract.events import event_types as e
from core.train.adapters import peft_config
from core.train.adapters.adaptable_layers import find_adaptable
from core.train.adapters.reload_check import copy_modules
from core.train.base import factor_matrix_layout
from core.train.base.base_model import Base

CPU = torch.device("cpu")


class Padless:
    """A tokenizer without a token for padding."""

    pad_token_id: ClassVar[None] = None
    eos_token_id: ClassVar[None] = None


def changed(monkeypatch, change):
    """What is written is not what was trained."""
    save = peft_config.save

    def wrong(base, config, tensors, folder):
        save(base, config, tensors, folder)
        held = load_file(folder / "adapter_model.safetensors")
        save_file(change(held), folder / "adapter_model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(peft_config, "save", wrong)


def renamed(held):
    return {name.replace("layers.0", "layers.9"): one for name, one in held.items()}


def doubled(held):
    return {name: 2 * one if "lora_B" in name else one for name, one in held.items()}


@pytest.mark.parametrize(("change", "told"), [(renamed, "on other layers"), (doubled, "logits differ")])
def test_an_adapter_that_loads_as_another_fails_its_trial_in_words(
    bench, tmp_path, monkeypatch, change, told
):
    one = bench(train={"learning_rate": 0.1})
    changed(monkeypatch, change)
    one.assign(tmp_path)
    one.finish()
    assert not one.of(e.TrialCompleted)
    (failed,) = one.of(e.TrialFailed)
    assert told in failed.error and str(tmp_path) in failed.error and not failed.again


def test_layers_that_peft_or_the_base_leave_out_are_told_and_the_rest_trains(bench, folder, tmp_path):
    """Mamba: PEFT refuses out_proj, and the base uses dt_proj's weight without calling it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = tf.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, state_size=8, pad_token_id=0
    )
    tf.MambaForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    one = bench(model={"base": str(tmp_path / "base")}, train={"steps": 2})
    one.assign(tmp_path, 0)
    one.assign(tmp_path, 1, target_modules=["out_proj"])
    one.finish()
    assert one.of(e.TrialCompleted) and not one.of(e.TrialFailed)
    assert "no linear layer 'out_proj'" in one.of(e.TrialInfeasible, 1)[0].why
    told = [note.text for note in one.of(e.StudyNoted) if "no adapter is put on" in note.text]
    assert "mixer.out_proj: PEFT cannot load an adapter there" in told[0]
    assert "mixer.dt_proj: the model does not call it as a layer" in told[1]


LATENT = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "q_lora_rank": 8,
    "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "first_k_dense_replace": 1, "moe_intermediate_size": 16,
}  # fmt: skip
MIXTURES = [
    (tf.MixtralConfig, {"num_local_experts": 4}, set()),
    (tf.DeepseekV3Config, LATENT, {"gate_proj", "up_proj", "down_proj"}),
]


@pytest.mark.parametrize(("kind", "more", "refused"), MIXTURES, ids=["mixtral", "deepseek"])
def test_experts_and_layers_that_peft_takes_for_experts_are_left_out_in_words(kind, more, refused):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 320}
    config = kind(**sizes, num_attention_heads=4, num_key_value_heads=4, **more)
    base = Base(tf.AutoModelForCausalLM.from_config(config).eval(), Padless(), "fp32", "x", CPU)
    told: list[str] = []
    _, found = find_adaptable(base, told.append)
    names = {place.last_name for place in found}
    assert "o_proj" in names and not names & refused
    assert "mlp.experts.gate_up_proj (" in told[-1] and "of the weights" in told[-1]
    assert bool(refused) == ("takes its name for that of an expert" in told[0] or "Cannot convert" in told[0])


def test_a_copy_of_modules_shares_tensors_and_leaves_the_base_as_it_is():
    config = tf.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    model = tf.LlamaForCausalLM(config).eval()
    before = {name: id(one) for name, one in model.named_modules()}
    twin = copy_modules(model)
    assert all(a is b for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    model.set_attn_implementation("eager")  # for a look inside, while another thread computes with the copy
    assert {module.config._attn_implementation for module in twin.modules() if hasattr(module, "config")} == {
        "sdpa"
    }
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["q_proj"]), twin)
    assert {name: id(one) for name, one in model.named_modules()} == before
    assert "lora" in str(twin).lower() and "lora" not in str(model).lower()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("attention", ["c_attn", "attn.c_proj"]),
        ("mlp", ["c_fc", "mlp.c_proj"]),
        ("all-linear", ["c_attn", "c_proj", "c_fc"]),
    ],
)
def test_a_group_is_whole_where_two_layers_have_one_name(wanted, names):
    model = tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2))
    found = factor_matrix_layout.find(model)
    assert peft_config.find_targets(found, wanted) == names
    assert peft_config.list_exact_names(model, peft_config.select_layers(found, names), names) == names


def test_a_name_that_means_more_than_was_chosen_is_told_to_peft_by_a_longer_one():
    model = tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2))
    only = [
        place for place in factor_matrix_layout.find(model) if place.name == "transformer.h.1.attn.c_proj"
    ]
    assert peft_config.list_exact_names(model, only, ["c_proj"]) == ["1.attn.c_proj"]


@pytest.mark.parametrize("precision", ["bf16", "nf4", "int8"])
def test_every_precision_is_loaded_back_as_it_was_trained(bench, tmp_path, precision):
    one = bench(model={"precision": precision}, train={"steps": 3, "learning_rate": 0.02})
    one.assign(tmp_path, lora_dropout=0.1)
    one.finish()
    assert one.of(e.TrialCompleted) and not one.of(e.StudyNoted)
