"""What a pack's time and positions went to."""

from __future__ import annotations

import pytest

from core.train.step.overhead_time_shares import TimeShares, compute_evaluation_share


def test_shares_are_of_the_time_and_of_the_positions():
    sums = TimeShares()
    sums.add_round(busy_s=3.0, data_s=0.5, tokens=100, row_tokens=60, evaluated_tokens=0)
    sums.add_turn(round_s=4.0, scoring_s=1.0)
    sums.add_round(busy_s=3.0, data_s=0.5, tokens=100, row_tokens=90, evaluated_tokens=100)
    sums.add_turn(round_s=4.0, scoring_s=1.0)
    assert sums.shares() == {
        "padding": pytest.approx(0.25), "data_wait": pytest.approx(0.1), "scoring": pytest.approx(0.2),
        "evaluation": pytest.approx(0.3),
    }  # fmt: skip


def test_nothing_measured_is_no_share():
    assert set(TimeShares().shares().values()) == {None}


def test_a_token_that_is_trained_on_costs_twice_one_that_is_evaluated():
    assert compute_evaluation_share(tokens=300, evaluated=200) == pytest.approx(0.5)
    assert compute_evaluation_share(tokens=0, evaluated=0) == 0.0
