"""A trial's own tensors take what is foretold, whichever optimizer it has."""

from __future__ import annotations

import pytest
import torch

from core.contract.spec import knob_table
from core.memory.base.model_shape import describe
from core.memory.estimate import trial_tensor_sizes
from core.train.adapters import optimizers
from core.train.adapters.lora_factors import Factors
from core.train.base import factor_matrix_layout
from core.train.tracing import tiny_models

SIZES = tiny_models.Sizes(h=64, i=160, q=64, k=32, d=16, a=4, v=200)


@pytest.fixture(scope="module")
def base():
    return tiny_models.build_model("llama", SIZES, 2, torch.float32, False)


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor", "adamw-8bit"])
@pytest.mark.parametrize("rank", [1, 8])
def test_optimizer_states_take_what_is_foretold(base, name, rank):
    chosen = {**knob_table.list_defaults(), "optimizer": name, "lora_rank": rank}
    factors = Factors(
        factor_matrix_layout.Layout(factor_matrix_layout.find(base.model)), rank, 16.0, 0.0, 0, base.device
    )
    made = optimizers.make(factors, chosen)
    factors.matrix.grad = torch.ones_like(factors.matrix)
    optimizers.step(made, 1e-3)
    held = sum(one.numel() * one.element_size() for one in optimizers.list_tensors(made)[0].values())
    one = trial_tensor_sizes.compute_need(chosen)
    model = describe(base.model.config.to_dict(), "a test")
    assert trial_tensor_sizes.count_trainable(model, one) == factors.matrix.numel()
    tables = 2 * 256 * 4 if name == "adamw-8bit" else 8  # code books; a step counter
    assert held == pytest.approx(trial_tensor_sizes.count_optimizer_bytes(model, one), abs=tables + 16)


def test_paged_states_are_not_counted_on_the_device(base):
    model = describe(base.model.config.to_dict(), "a test")
    chosen = {**knob_table.list_defaults(), "optimizer": "adamw-8bit-paged"}
    assert trial_tensor_sizes.count_optimizer_bytes(model, trial_tensor_sizes.compute_need(chosen)) == 0


@pytest.mark.parametrize(
    "wanted", ["all-linear", "attention", "mlp", ["q_proj", "v_proj"], ["model.layers.0.self_attn.q_proj"]]
)
def test_targets_mean_the_layers_that_they_mean_in_training(base, wanted):
    from core.train.adapters import peft_config

    known = factor_matrix_layout.find(base.model)
    layout = factor_matrix_layout.Layout(
        peft_config.select_layers(known, peft_config.find_targets(known, wanted))
    )
    told = trial_tensor_sizes.find_width(describe(base.model.config.to_dict(), "a test"), wanted)
    assert told == layout.width or (isinstance(wanted, list) and "." in wanted[0] and told > layout.width)
