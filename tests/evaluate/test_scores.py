"""Scores by hand."""

import math

import pytest

from core.evaluate.metrics.loss_metrics import Sums
from core.evaluate.statistics.early_stopping_patience import EarlyStopping


def test_perplexity_is_weighted_by_tokens_not_by_batches():
    sums = Sums()
    sums.add(loss=9.0, tokens=9, correct=3)
    sums.add(loss=3.0, tokens=1, correct=1)
    metrics = sums.compute_metrics()
    assert metrics["eval/loss"] == pytest.approx(1.2)
    assert metrics["eval/perplexity"] == pytest.approx(math.exp(1.2))
    assert metrics["eval/accuracy"] == pytest.approx(0.4)


def test_what_is_not_finite_is_left_out():
    assert Sums().compute_metrics() == {}
    assert set(Sums(math.nan, 1, 0).compute_metrics()) == {"eval/accuracy"}
    assert "eval/perplexity" not in Sums(1e6, 1, 0).compute_metrics()


def test_patience_counts_from_the_best():
    rule = EarlyStopping(2)
    assert [rule.update(value) for value in (3.0, 2.0, 2.5, 1.9, 2.0)] == [None] * 5
    assert rule.update(1.95) == "no improvement on 1.9 for 2 evaluations"


def test_a_gain_must_exceed_min_delta():
    rule = EarlyStopping(1, min_delta=0.1)
    assert rule.update(1.0) is None
    assert "by more than 0.1" in (rule.update(0.95) or "")


def test_patience_knows_the_direction_and_zero_never_stops():
    assert EarlyStopping(1, direction="maximize").update(0.5) is None
    rule = EarlyStopping(1, direction="maximize", best=0.5)
    assert rule.update(0.6) is None and rule.update(0.55)
    never = EarlyStopping(0)
    assert not any(never.update(1.0) for _ in range(20))
