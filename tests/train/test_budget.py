"""Scoring takes no more than its share of any minute while something trains."""

from itertools import cycle

import pytest

from core.train.scoring.scoring_budget import WINDOW_S, Budget


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_share_of_one_limits_nothing():
    budget = Budget(1.0, Clock())
    for _ in range(10):
        assert budget.allows(training=True)
        budget.spend(100.0)


def spend_minutes(lengths: list[float], step_s: float, minutes: int) -> list[tuple[float, float]]:
    """Do units of these lengths in turn, whenever a tenth of the time allows one, with ``step_s`` seconds of
    training between two questions; their ends and lengths."""
    clock = Clock()
    budget, spent, until = Budget(0.1, clock), [], clock.now + minutes * WINDOW_S
    units = cycle(lengths)
    while clock.now < until:
        clock.now += step_s
        if budget.allows(training=True):
            unit_s = next(units)
            clock.now += unit_s
            budget.spend(unit_s)
            spent.append((clock.now, unit_s))
    return spent


@pytest.mark.parametrize(
    ("lengths", "step_s", "minutes"),
    [
        ([0.1, 0.1, 0.8, 0.1, 0.3, 0.1, 0.1], 0.2, 8),  # the longest of the last minute is known
        ([1.0] * 9 + [1.2], 0.05, 30),  # a fifth longer than all of the last minute
    ],
)
def test_units_of_uneven_length_keep_to_the_share(lengths, step_s, minutes):
    spent = spend_minutes(lengths, step_s, minutes)
    past = [sum(took for at, took in spent if end - WINDOW_S < at <= end) / WINDOW_S for end, _ in spent]
    assert max(past) <= 0.1
    assert sum(took for _, took in spent) > 0.08 * minutes * WINDOW_S, "what is allowed is used"


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(("step_s", "unit_s"), [(0.1, 0.05), (2.0, 0.25), (9.0, 1.0), (0.3, 0.25)])
def test_no_minute_has_more_than_the_share(share, step_s, unit_s):
    clock = Clock()
    budget, spent, began = Budget(share, clock), [], clock.now
    while clock.now < began + 8 * WINDOW_S:
        clock.now += step_s
        if budget.allows(training=True):
            clock.now += unit_s
            budget.spend(unit_s)
            spent.append((clock.now, unit_s))
    for end, _ in spent:
        within = sum(took for at, took in spent if end - WINDOW_S < at <= end)
        assert within <= share * WINDOW_S + unit_s
    used = sum(took for _, took in spent) / (clock.now - began)
    possible = min(share, unit_s / (unit_s + step_s))
    assert 0.7 * possible <= used <= share + unit_s / (clock.now - began)


def test_what_trains_not_waits_for_nobody():
    clock = Clock()
    budget = Budget(0.1, clock)
    for _ in range(100):
        assert budget.allows(training=False)
        budget.spend(5.0)
    assert not budget.allows(training=True), "training has just begun"
    clock.now += 60.0
    assert budget.allows(training=True)
