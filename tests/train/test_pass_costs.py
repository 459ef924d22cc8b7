"""On a GPU the cost of a pass is measured; on a CPU it is a constant, whatever the clock says."""

from __future__ import annotations

import random
from collections import deque

import pytest

from core.memory.estimate.rows_per_pass import MOST, count_overhead
from core.train.pack import pass_overhead
from core.train.pack.pass_overhead import EVERY, PassCosts, Round

SMALL = 500_000_000  # parameters


def rounds(pass_s: float, token_s: float, count: int = 64, noise: float = 0.05) -> list[Round]:
    """Rounds of a device with these costs, of one or two passes and rows of many lengths."""
    draw = random.Random(3)
    found = []
    for _ in range(count):
        passes, tokens = draw.choice((1, 1, 2)), draw.randrange(1000, 8000)
        busy_s = (passes * pass_s + tokens * token_s) * draw.uniform(1 - noise, 1 + noise)
        found.append(Round(passes, tokens, busy_s))
    return found


@pytest.mark.parametrize(("pass_s", "token_s"), [(0.014, 8e-6), (0.1, 1e-5), (0.4, 2e-5)])
def test_the_cost_of_a_pass_is_measured_on_a_gpu(pass_s, token_s):
    costs = PassCosts("cuda", SMALL)
    for done in rounds(pass_s, token_s):
        costs.add("pack", done)
    assert costs.overhead == costs.measured == pytest.approx(pass_s / token_s, rel=0.25)


def test_on_a_cpu_the_cost_does_not_depend_on_the_clock():
    costs = PassCosts("cpu", SMALL)
    for done in rounds(0.4, 1e-5):
        costs.add("pack", done)
    assert (costs.overhead, costs.measured) == (count_overhead("cpu", SMALL), 0)


def test_equal_rounds_say_nothing_and_the_constant_stays():
    costs = PassCosts("cuda", SMALL)
    for _ in range(3 * EVERY):
        costs.add("pack", Round(1, 4096, 0.05))
    assert (costs.overhead, costs.measured) == (count_overhead("cuda", SMALL), 0)


def test_the_first_round_of_a_pack_is_left_out_and_another_pack_begins_anew():
    costs = PassCosts("cuda", SMALL)
    found = rounds(0.014, 8e-6)
    costs.add("pack", Round(1, 1000, 100.0))  # it allocates
    for done in found[: EVERY - 1]:
        costs.add("pack", done)
    assert not costs.measured
    costs.add("another pack", Round(1, 1000, 100.0))
    for done in found[: EVERY - 1]:
        costs.add("another pack", done)
    assert not costs.measured
    costs.add("another pack", found[EVERY])
    assert costs.measured == pytest.approx(0.014 / 8e-6, rel=0.3)


def test_an_absurd_measurement_is_bounded():
    costs = PassCosts("cuda", SMALL)
    for done in rounds(50.0, 1e-9):
        costs.add("pack", done)
    assert costs.overhead == min(MOST, round(pass_overhead.FAR * count_overhead("cuda", SMALL)))


def test_launches_that_take_all_of_the_time_are_as_dear_as_can_be():
    free = deque(Round(passes, tokens, 0.1 * passes - 1e-7 * tokens) for passes, tokens, _ in rounds(1, 1))
    assert pass_overhead.fit(free) == MOST
