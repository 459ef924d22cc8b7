"""How an adapter begins: as PEFT's begins, drawn from the trial's seed."""

from __future__ import annotations

import peft
import pytest
import torch

from core.train.adapters.adapter_stack import Group
from core.train.adapters.lora_factors import Factors
from core.train.adapters.peft_config import INITIAL
from core.train.base.factor_matrix_layout import Layout, Place
from core.train.kernels.fast_path import FastPath

INPUTS, OUTPUTS, RANK = 512, 384, 8
CPU = torch.device("cpu")


def pefts(initialisation: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B of a linear layer, over eight draws."""
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    config = peft.LoraConfig(r=RANK, target_modules=["0"], init_lora_weights=INITIAL[initialisation])
    for seed in range(8):
        torch.manual_seed(seed)
        model = peft.get_peft_model(torch.nn.Sequential(torch.nn.Linear(INPUTS, OUTPUTS)), config)
        layer = model.base_model.model[0]
        drawn.append((layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()))
    return torch.stack([a for a, _ in drawn]), torch.stack([b for _, b in drawn])


def ours(initialisation: str) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = [begun(initialisation, seed) for seed in range(8)]
    return torch.stack([a for a, _ in drawn]), torch.stack([b for _, b in drawn])


def begun(initialisation: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    factors = Factors(Layout([Place(0, "0", INPUTS, OUTPUTS)]), RANK, 16.0, 0.0, seed, CPU)
    factors.draw(initialisation)
    (_, a), (_, b) = factors.named_factors()
    return a, b


@pytest.mark.parametrize("initialisation", INITIAL)
def test_an_adapter_begins_with_pefts_distribution(initialisation):
    for mine, theirs in zip(ours(initialisation), pefts(initialisation), strict=True):
        assert mine.shape == theirs.shape
        assert mine.std().item() == pytest.approx(theirs.std().item(), rel=0.03)
        assert mine.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.25)


def test_the_seed_decides_how_it_begins():
    assert torch.equal(begun("default", 1)[0], begun("default", 1)[0])
    assert not torch.equal(begun("default", 1)[0], begun("default", 2)[0])


def test_a_gradient_of_a_bf16_base_is_rounded_before_it_is_scaled_and_not_after():
    factors = Factors(Layout([Place(0, "0", INPUTS, OUTPUTS)]), RANK, 11.0, 0.0, 0, CPU)
    factors.draw("default")
    group = Group([factors], torch.bfloat16, CPU, FastPath())
    group.begin()
    group.grads.normal_()
    expected = group.grads[0].float()
    expected[:, INPUTS:] *= factors.scale
    group.collect(factors)
    assert torch.equal(factors.grad, expected) and factors.scale == 11 / RANK
    group.collect(factors)
    assert torch.equal(factors.grad, 2 * expected), "of two passes"
