"""Strengths from blind comparisons: by hand, in simulated studies, and where there is little to go by."""

import math

import numpy as np
import pytest

from core.evaluate.statistics.bradley_terry import SPREAD, fit_strengths


def test_two_trials_by_hand():
    """With strengths ±x, 3 wins of 4 have the posterior's gradient 3 − 4σ(2x) − x / SPREAD² = 0."""
    found = fit_strengths([(1, 2, 1.0)] * 3 + [(2, 1, 1.0)])
    x = found[1].value
    assert 3 - 4 / (1 + math.exp(-2 * x)) - x / SPREAD**2 == pytest.approx(0.0, abs=1e-9)
    assert found[2].value == pytest.approx(-x) and found[1].samples == 4
    weight = 4 / (1 + math.exp(-2 * x)) / (1 + math.exp(2 * x))
    half = 1.96 * math.sqrt(1 / (4 * weight + 2 / SPREAD**2))  # Hessian along (1, −1) / 2
    assert found[1].high - x == pytest.approx(half, rel=1e-3)


def test_a_tie_is_half_a_win_of_each_and_sides_do_not_matter():
    tied = fit_strengths([(1, 2, 0.5)] * 4)
    assert tied[1].value == pytest.approx(0.0, abs=1e-12) and tied[1].low < 0 < tied[1].high
    first, turned = fit_strengths([(1, 2, 1.0), (3, 2, 0.5)]), fit_strengths([(2, 1, 0.0), (2, 3, 0.5)])
    for name, score in first.items():
        assert (score.value, score.low) == pytest.approx((turned[name].value, turned[name].low))


def test_who_never_lost_is_not_infinitely_strong_and_who_was_compared_more_is_known_better():
    few, many = fit_strengths([(1, 2, 1.0)]), fit_strengths([(1, 2, 1.0)] * 50)
    assert 0 < few[1].value < many[1].value < 10
    even = [fit_strengths([(1, 2, 1.0), (2, 1, 1.0)] * n)[1] for n in (1, 10, 100)]
    widths = [score.high - score.low for score in even]
    assert widths == sorted(widths, reverse=True)


def test_no_comparison_has_no_strength_and_islands_are_told_apart_by_nothing():
    assert fit_strengths([]) == {}
    apart = fit_strengths([(1, 2, 1.0), (3, 4, 1.0)])
    assert apart[1].value == pytest.approx(apart[3].value) and sum(s.value for s in apart.values()) < 1e-9


@pytest.mark.parametrize("each", [3, 12])
def test_intervals_hold_the_true_strength_about_as_often_as_they_say(each):
    random = np.random.default_rng(7)
    held = []
    for _ in range(150):
        true = random.normal(0.0, 1.0, 4)
        said = []
        for first, second in [(a, b) for a in range(4) for b in range(a)] * each:
            won = random.random() < 1 / (1 + math.exp(true[second] - true[first]))
            said.append((first, second, float(won)))
        true -= true.mean()
        held += [score.low <= true[name] <= score.high for name, score in fit_strengths(said).items()]
    assert 0.92 <= np.mean(held) <= 0.995


def test_many_trials_converge():
    random = np.random.default_rng(1)
    said = [(int(a), int(b), 1.0) for a, b in random.integers(0, 40, (300, 2)) if a != b]
    found = fit_strengths(said)
    assert all(score.low < score.value < score.high for score in found.values())
