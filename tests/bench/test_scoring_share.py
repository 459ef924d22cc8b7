"""The bench of scoring's share counts what lies within a minute, whatever began before it."""

from __future__ import annotations

import pytest

from tests.bench.scoring_share import Shares, within


def test_a_span_counts_in_a_minute_as_far_as_it_lies_in_it():
    assert within([(63.0, 6.0)], end=120.0) == pytest.approx(3 / 60)
    assert within([(60.0, 6.0), (200.0, 50.0)], end=120.0) == 0.0


def test_the_worst_minute_is_found_wherever_it_begins():
    shares = Shares(began=0.0, ended=180.0, clocked=[(58.0, 3.0), (62.0, 3.0), (150.0, 3.0)])
    assert shares.minutes(shares.clocked) == pytest.approx([4 / 60, 2 / 60, 3 / 60])
    assert shares.worst(shares.clocked) == pytest.approx(6 / 60)
    assert shares.share(shares.clocked) == pytest.approx(9 / 180)


def test_less_than_a_minute_has_no_worst_one():
    shares = Shares(began=0.0, ended=30.0, clocked=[(20.0, 10.0)])
    assert shares.minutes(shares.clocked) == [] and shares.worst(shares.clocked) == 0.0
