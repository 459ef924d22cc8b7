"""Optimizers of several trials that step in one call compute what each computes alone."""

import pytest
import torch

from core.train.adapters import optimizers
from core.train.adapters.lora_factors import Factors
from core.train.base.factor_matrix_layout import Layout, Place

CPU = torch.device("cpu")
LAYOUT = Layout([Place(0, "layers.0.q_proj", 6, 5)])
KNOBS = ({"learning_rate": 1e-2}, {"learning_rate": 1e-2}, {"learning_rate": 3e-3}, {"weight_decay": 0.5})


def trial(number: int):
    knobs = {"optimizer": "adamw", "learning_rate": 1e-2, "weight_decay": 0.01, **KNOBS[number]}
    factors = Factors(LAYOUT, 2 + number, 8.0, 0.0, number, CPU)
    factors.draw("default")
    return factors, optimizers.make(factors, knobs), knobs["learning_rate"]


def give_gradients(trials, step: int) -> None:
    for number, (factors, *_) in enumerate(trials):
        draw = torch.Generator().manual_seed(100 * step + number)
        factors.matrix.grad = torch.randn(factors.matrix.shape, generator=draw)


def test_trials_with_equal_and_other_settings_get_the_same_bits_as_alone():
    alone, together = ([trial(number) for number in range(len(KNOBS))] for _ in range(2))
    for step in range(4):
        for trials in (alone, together):
            give_gradients(trials, step)
        rates = [rate / (step + 1) for *_, rate in alone]  # as a schedule changes it
        for (_, optimizer, _), rate in zip(alone, rates, strict=True):
            optimizers.step(optimizer, rate)
        due = [(optimizer, rate) for (_, optimizer, _), rate in zip(together, rates, strict=True)]
        joint = [pair for pair in due if optimizers.can_join(pair[0])]
        assert len(joint) == (len(due) if step else 0), "the first step allocates the states"
        if joint:
            optimizers.step_together(joint)
        for optimizer, rate in due[len(joint) :]:
            optimizers.step(optimizer, rate)
    for (factors, own, _), (others, joined, _) in zip(alone, together, strict=True):
        assert torch.equal(factors.matrix, others.matrix)
        for mine, other in zip(own.state.values(), joined.state.values(), strict=True):
            assert all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("kind", ["sgd", "adafactor"])
def test_other_optimizers_step_by_themselves(kind):
    factors = Factors(LAYOUT, 2, 8.0, 0.0, 0, CPU)
    optimizer = optimizers.make(factors, {"optimizer": kind, "learning_rate": 1e-2, "weight_decay": 0.0})
    factors.matrix.grad = torch.ones_like(factors.matrix)
    optimizers.step(optimizer, 1e-2)
    assert not optimizers.can_join(optimizer)
