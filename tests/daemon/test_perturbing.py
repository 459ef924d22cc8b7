"""A clone's knobs: near its parent's or drawn anew, always in the space, the same again for the same seed."""

from __future__ import annotations

import random

import pytest

from core.contract.spec.conditional_knobs import find_misfit
from core.contract.spec.search_space import Choice, Range, explain_outside
from core.contract.spec.study_spec import PopulationOptions
from core.daemon.population.explore import draw_value, perturb

RATE = Range(1e-5, 1e-2, "float", None, True)
BATCH = Range(1, 16, "int")
DROP = Range(0.0, 0.3, "float", 0.1)
WARM = Choice((0.0, 0.03, 0.1))


def after(dimension, now, factors, resample=0.0, seed=0):
    asked = PopulationOptions(factors=factors, resample=resample)
    found = perturb({"knob": dimension}, {"knob": now}, asked, ["knob"], random.Random(seed))
    return found["knob"][1] if found else now


@pytest.mark.parametrize(
    ("dimension", "now", "factor", "then"),
    [
        (RATE, 1e-3, 0.8, 8e-4),
        (RATE, 9e-3, 1.25, 1e-2),  # not above the highest
        (RATE, 1e-2, 1.25, 1e-2),
        (RATE, 1e-5, 0.8, 1e-5),
        (BATCH, 8, 1.25, 10),
        (BATCH, 2, 1.2, 3),  # 2.4 is 2 again: one on
        (BATCH, 2, 0.8, 1),
        (BATCH, 1, 0.8, 1),
        (BATCH, 16, 1.25, 16),
        (Range(4, 64, "int", 4), 8, 1.25, 12),  # 10 lies between 8 and 12, and rounds to 8
        (DROP, 0.2, 1.25, 0.3),
        (DROP, 0.1, 0.8, 0.0),
        (DROP, 0.0, 1.25, 0.1),
        (RATE, 3e-1, 1.25, 1e-2),  # the space was narrowed meanwhile
    ],
)
def test_a_number_is_multiplied_and_stays_a_point_of_its_range(dimension, now, factor, then):
    found = after(dimension, now, [factor])
    assert (
        found == pytest.approx(then) and type(found) is type(then) and not explain_outside(dimension, found)
    )


def test_a_choice_moves_to_its_neighbour():
    assert {after(WARM, 0.03, [2.0], seed=seed) for seed in range(20)} == {0.0, 0.1}
    assert {after(WARM, 0.0, [2.0], seed=seed) for seed in range(20)} == {0.03}
    assert after(Choice(("adamw",)), "adamw", [2.0]) == "adamw"
    assert after(WARM, 0.5, [2.0]) in WARM.values, "it is no choice any more"


@pytest.mark.parametrize("dimension", [RATE, BATCH, DROP, WARM, Range(2, 128, "int", None, True)])
def test_what_is_drawn_anew_fills_the_dimension_and_nothing_else(dimension):
    draw = random.Random(1)
    found = [draw_value(dimension, draw) for _ in range(400)]
    assert not any(explain_outside(dimension, one) for one in found)
    if isinstance(dimension, Choice) or dimension in (BATCH, DROP):
        assert len(set(found)) == (3 if isinstance(dimension, Choice) else 16 if dimension is BATCH else 4)
    if dimension is RATE:  # as many in each decade
        assert 90 < sum(1e-4 <= one < 1e-3 for one in found) < 180


def test_the_same_seed_perturbs_the_same_way_and_knobs_that_stay_are_not_told():
    space, knobs = {"rate": RATE, "batch": BATCH, "one": Choice((7,))}, {"rate": 1e-3, "batch": 4, "one": 7}
    once, again = (
        perturb(space, knobs, PopulationOptions(), list(space), random.Random("3/5")) for _ in range(2)
    )
    assert once == again and "one" not in once and once["rate"][0] == 1e-3


def test_a_knob_that_hangs_on_another_follows_it_and_a_held_one_stays():
    when = {"optimizer": ("adamw",)}
    space = {
        "weight_decay": Range(0.01, 0.2, when=when, otherwise=0.0),
        "optimizer": Choice(("adamw", "sgd")),
        "lora_rank": Choice((2, 4)),
    }
    free, draw = ["optimizer", "weight_decay"], random.Random(0)
    for optimizer, decay in (("adamw", 0.1), ("sgd", 0.0)):
        knobs = {"optimizer": optimizer, "weight_decay": decay, "lora_rank": 4}
        for _ in range(20):
            found = perturb(space, knobs, PopulationOptions(), free, draw)
            then = {**knobs, **{name: after for name, (_, after) in found.items()}}
            assert not find_misfit(space, then) and then["lora_rank"] == 4
