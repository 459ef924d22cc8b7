"""Every interval that is told holds the true value in at least 93 of 100 cases, from the fewest samples on.

Simulated with fixed seeds; the margin of three standard errors keeps chance from failing a test.
"""

import math
from statistics import NormalDist

import numpy as np
import pytest

from core.evaluate.metrics import answer_overlap_metrics, membership_inference, validation_slices
from core.evaluate.statistics import drift_test
from core.evaluate.statistics.confidence_intervals import clustered_rate, mean, median, ratio
from core.evaluate.statistics.interval_formulas import (
    FEWEST,
    difference_ends,
    mean_ends,
    median_ends,
    share_ends,
)
from tests.matrix import rest_slow

PROMISED, CASES = 0.93, 3000
SIZES = (4, 5, 6, 7, 8, 12, 16, 24, 32, 64, 128, 256)
VALUES = {  # family -> how it is drawn, its mean and its median
    "normal": (lambda random, shape: random.normal(3, 2, shape), 3.0, 3.0),
    "lognormal": (lambda random, shape: random.lognormal(0, 1, shape), math.exp(0.5), 1.0),
    "exponential": (lambda random, shape: random.exponential(1, shape), 1.0, math.log(2)),
}


def holds(ends, truth, cases=CASES):
    low, high = ends
    held = float(np.mean((low - 1e-12 <= truth) & (truth <= high + 1e-12)))
    return held >= PROMISED - 3 * math.sqrt(PROMISED * (1 - PROMISED) / cases)


@pytest.mark.parametrize("family", VALUES)
@pytest.mark.parametrize("size", [size for size in SIZES if size >= FEWEST])
def test_an_interval_of_a_mean_or_median_holds_it_at_every_size(family, size):
    draw, true_mean, true_median = VALUES[family]
    values = draw(np.random.default_rng([1, size]), (CASES, size))
    assert holds(mean_ends(values), true_mean) and holds(median_ends(values), true_median)


@pytest.mark.parametrize("size", SIZES)
def test_an_interval_of_a_share_holds_it_at_every_size_and_share(size):
    """Exact, by summing over all outcomes: no share of 0.001 to 0.999 is a pit."""
    from scipy.stats import binom

    shares, hits = np.linspace(0.001, 0.999, 999), np.arange(size + 1)
    low, high = share_ends(hits, np.asarray(size))
    inside = (low[:, None] <= shares) & (shares <= high[:, None])
    assert (binom.pmf(hits[:, None], size, shares) * inside).sum(axis=0).min() >= 0.95 - 1e-9


@pytest.mark.parametrize("size", rest_slow([8, 64, 16, 256]))
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])  # of how many clusters all four answers are one answer
def test_an_interval_of_clustered_answers_holds_the_share(size, share, alike):
    random, cases = np.random.default_rng([2, size]), 400
    ends = []
    for _ in range(cases):
        each = random.random((size // 4, 4)) < share
        hits = np.where(random.random((size // 4, 1)) < alike, each[:, :1], each)
        ends.append(clustered_rate(hits.ravel().tolist(), np.repeat(np.arange(size // 4), 4)).interval)
    assert holds(np.array(ends).T, share, cases)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "moved", [(0.0, 0.0), (0.02, 0.02), (0.3, 0.0), (0.1, 0.1), (0.45, 0.45), (0.02, 0.95)]
)
def test_an_interval_of_a_change_of_hits_holds_it(size, moved):
    random = np.random.default_rng([3, size])
    drawn = random.multinomial(size, (*moved, 1 - sum(moved)), CASES)
    if size >= FEWEST:
        assert holds(difference_ends(drawn[:, 0], drawn[:, 1], np.asarray(size)), moved[0] - moved[1])
    else:
        assert drift_test.paired_difference([1.0] * size, [0.0] * size).interval is None


@pytest.mark.parametrize("size", [6, 12, 32, 128])
def test_an_interval_of_shares_of_which_few_moved_holds_their_mean_and_its_change(size):
    """Of nine of ten prompts no continuation is toxic, such as of most boards."""
    random, cases = np.random.default_rng([4, size]), 400
    means, changes = [], []
    for _ in range(cases):
        now, before = (np.where(random.random(size) < 0.1, random.random(size), 0.0).tolist() for _ in "ab")
        means.append(mean(now, within_one=True).interval)
        changes.append(drift_test.paired_difference(now, before).interval)
    assert holds(np.array(means).T, 0.05, cases) and holds(np.array(changes).T, 0.0, cases)


@pytest.mark.parametrize("size", [6, 16, 64])
def test_an_interval_of_a_ratio_and_of_a_paired_change_holds_it(size):
    random, cases = np.random.default_rng([5, size]), 400
    ratios, changes = [], []
    for _ in range(cases):
        tokens = random.integers(5, 80, size)
        ratios.append(ratio((tokens * random.lognormal(0, 0.5, size)).tolist(), tokens.tolist()).interval)
        base = random.lognormal(1, 1, size)
        changes.append(drift_test.paired_difference(base + random.exponential(0.3, size), base).interval)
    assert holds(np.array(ratios).T, math.exp(0.125), cases) and holds(np.array(changes).T, 0.3, cases)


@pytest.mark.parametrize("size", rest_slow([8, 6, 16, 64]))
@pytest.mark.parametrize("metric", rest_slow(["bleu", "chrf"]))
def test_an_interval_of_a_corpus_score_holds_that_of_all_answers(metric, size):
    import sacrebleu

    random, cases = np.random.default_rng([6, size]), 120
    words = ["the", "old", "man", "by", "sea", "reads", "his", "paper", "while", "rain", "falls", "on"]
    right = [" ".join(random.choice(words, 10)) for _ in range(200)]
    kept = random.beta(0.5, 0.8, 200)  # most answers are nearly right or nearly wrong
    pairs = [
        (" ".join(word if random.random() < share else "so" for word in text.split()), text)
        for share, text in zip(kept, right, strict=True)
    ]
    score, ends = getattr(answer_overlap_metrics, metric), []
    for _ in range(cases):
        ends.append(score(*zip(*(pairs[at] for at in random.integers(0, 200, size)), strict=True)).interval)
    answers, references = zip(*pairs, strict=True)
    whole = getattr(sacrebleu, {"bleu": "BLEU", "chrf": "CHRF"}[metric])().corpus_score(answers, [references])
    assert holds(np.array(ends).T, whole.score, cases)


@pytest.mark.parametrize("slices", rest_slow([16, 2]))
def test_an_interval_of_the_worst_slice_holds_the_largest_loss_of_all(slices):
    """The worst of many slices that are alike is so by chance."""
    random, cases, size = np.random.default_rng([7, slices]), 60, 200
    rows = {str(at): range(at * size, at * size + size) for at in range(slices)}
    ends = []
    for _ in range(cases):
        losses = random.normal(2, 0.8, slices * size).tolist()
        found = validation_slices.compute_slice_losses(losses, [1.0] * len(losses), rows)
        ends.append(validation_slices.find_worst(found)[1].interval)
    assert holds(np.array(ends).T, 2.0, cases)


@pytest.mark.parametrize("size", rest_slow([64, 6, 16, 200], 2))
@pytest.mark.parametrize("apart", [0.0, 0.5, 2.0, 4.0])
def test_an_interval_of_the_members_found_holds_those_at_one_in_a_hundred(apart, size):
    """The threshold that one in a hundred other rows exceeds is not known, only that of a sample."""
    random, cases, normal = np.random.default_rng([8, size]), 250, NormalDist()
    ends = [
        membership_inference.true_positives(
            random.normal(apart, 1, size).tolist(), random.normal(0, 1, size).tolist()
        ).interval
        for _ in range(cases)
    ]
    assert holds(np.array(ends).T, 1 - normal.cdf(normal.inv_cdf(0.99) - apart), cases)


def test_below_the_fewest_samples_nothing_but_a_share_has_an_interval():
    for size in range(1, FEWEST):
        values = [float(value) for value in range(size)]
        for score in (mean(values), median(values), ratio(values, [1.0] * size)):
            assert score.interval is None and f"{FEWEST} are the fewest" in score.reason
