"""A trial's own tensors take what is foretold, whichever optimizer it has."""

from __future__ import annotations

import pytest
import torch

from core.contract import knobs
from core.memory import need
from core.memory.model import describe
from core.train import optimizer, places, shrunk
from core.train.factors import Factors

SIZES = shrunk.Sizes(h=64, i=160, q=64, k=32, d=16, a=4, v=200)


@pytest.fixture(scope="module")
def base():
    return shrunk.model("llama", SIZES, 2, torch.float32, False)


@pytest.mark.parametrize("name", ["adamw", "sgd", "adafactor", "adamw-8bit"])
@pytest.mark.parametrize("rank", [1, 8])
def test_optimizer_states_take_what_is_foretold(base, name, rank):
    chosen = {**knobs.defaults(), "optimizer": name, "lora_rank": rank}
    factors = Factors(places.Layout(places.find(base.model)), rank, 16.0, 0.0, 0, base.device)
    made = optimizer.make(factors, chosen)
    factors.matrix.grad = torch.ones_like(factors.matrix)
    optimizer.step(made, 1e-3)
    held = sum(one.numel() * one.element_size() for one in optimizer.tensors_of(made)[0].values())
    one = need.need(chosen)
    model = describe(base.model.config.to_dict(), "a test")
    assert need.trainable(model, one) == factors.matrix.numel()
    tables = 2 * 256 * 4 if name == "adamw-8bit" else 8  # code books; a step counter
    assert held == pytest.approx(need.optimizer_bytes(model, one), abs=tables + 16)


def test_paged_states_are_not_counted_on_the_device(base):
    model = describe(base.model.config.to_dict(), "a test")
    chosen = {**knobs.defaults(), "optimizer": "adamw-8bit-paged"}
    assert need.optimizer_bytes(model, need.need(chosen)) == 0


@pytest.mark.parametrize(
    "wanted", ["all-linear", "attention", "mlp", ["q_proj", "v_proj"], ["model.layers.0.self_attn.q_proj"]]
)
def test_targets_mean_the_layers_that_they_mean_in_training(base, wanted):
    from core.train import adapters

    known = places.find(base.model)
    layout = places.Layout(adapters.chosen(known, adapters.targets(known, wanted)))
    told = need.width(describe(base.model.config.to_dict(), "a test"), wanted)
    assert told == layout.width or (isinstance(wanted, list) and "." in wanted[0] and told > layout.width)
