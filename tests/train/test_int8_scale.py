"""An int8 base in bfloat16 is dequantised in float32: a rounded scale would be off for a whole row."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from core.train.adapters.multi_lora_linear import EightBit

OUTPUTS, INPUTS = 256, 512
SYSTEMATIC = 2.0**-12  # of a row; rounding the scales to bfloat16 gives about 2^-10


@pytest.fixture
def module() -> SimpleNamespace:
    """What EightBit reads of bitsandbytes' Linear8bitLt."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(OUTPUTS, INPUTS, generator=draw).mul(32).round().clamp(-127, 127).to(torch.int8)
    scales = torch.rand(OUTPUTS, generator=draw) + 0.1
    return SimpleNamespace(
        weight=SimpleNamespace(data=weight, SCB=scales), state=SimpleNamespace(SCB=None), bias=None
    )


def exact(module: SimpleNamespace) -> torch.Tensor:
    """The weight in float64."""
    return module.weight.data.double() * (module.weight.SCB.double() / 127.0)[:, None]


def test_rows_of_the_weight_are_not_too_large_or_too_small(module):
    found, wanted = EightBit(module).weight(torch.bfloat16), exact(module)
    assert found.dtype == torch.bfloat16
    off = (found.double() * wanted).sum(-1) / (wanted * wanted).sum(-1) - 1.0
    assert off.square().mean().sqrt() < SYSTEMATIC


def test_every_element_is_rounded_once(module):
    assert torch.equal(EightBit(module).weight(torch.bfloat16), exact(module).float().bfloat16())


def test_output_and_gradient_follow(module):
    kind, weight = EightBit(module), exact(module).float().bfloat16()
    x = torch.randn(3, INPUTS, generator=torch.Generator().manual_seed(1)).bfloat16()
    y, kept = kind.forward(x)
    assert torch.equal(y, torch.nn.functional.linear(x, weight))
    assert torch.equal(kind.backward(y, kept), y @ weight)


def test_in_float32_nothing_changes_by_a_bit(module):
    weight = module.weight.data.float() * (module.weight.SCB / 127.0)[:, None]
    assert torch.equal(EightBit(module).weight(torch.float32), weight)
