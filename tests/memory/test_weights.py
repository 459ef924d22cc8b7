"""The base's bytes, from its configuration alone, are those of the model that is built from it."""

from __future__ import annotations

import pytest
import torch

from core.memory.base import weight_bytes
from core.memory.base.model_shape import describe
from core.train.base import factor_matrix_layout
from core.train.tracing import tiny_models


@pytest.fixture(scope="module", params=sorted(tiny_models.CONFIGS))
def built(request):
    sizes = tiny_models.draw(request.param, 3)
    return tiny_models.build_model(request.param, sizes, 2, torch.bfloat16, False).model


def described(model):
    return describe(model.config.to_dict(), "a test")


def test_the_parameters_are_counted_one_by_one(built):
    assert described(built).parameters == sum(parameter.numel() for parameter in built.parameters())


def test_the_linear_layers_are_those_that_adapters_stand_on(built):
    found = [(one.last_name, one.inputs, one.outputs) for one in factor_matrix_layout.find(built)]
    told = described(built)
    assert sorted(found) == sorted(
        [(linear.name.rsplit(".", 1)[-1], linear.inputs, linear.outputs) for linear in told.linears]
        * told.layers
    )


def test_the_bytes_in_bfloat16(built):
    held = sum(parameter.numel() * parameter.element_size() for parameter in built.parameters())
    assert weight_bytes.count_base_bytes(described(built), "bf16", True, "bf16") == held
