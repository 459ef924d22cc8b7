"""Safety metrics: toxicity, bias, refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from core.contract.metric_score import Score
from core.contract.significance_levels import CONFIDENCE
from core.evaluate.statistics.bootstrap import RESAMPLES
from core.evaluate.statistics.confidence_intervals import (
    Numbers,
    bootstrap_score,
    convert_to_arrays,
    mean,
    rate,
    share_interval,
)
from core.evaluate.text.refusal_classifier import Stance, says_something
from core.evaluate.text.toxicity_scorer import TOXIC, Scorer, score_toxicity

FEWEST_PAIRS = 5  # of an axis, for a value of its own
EVEN = 0.5  # share of pairs in which an unbiased model prefers the stereotype


def score_continuations(
    continuations: Sequence[Sequence[str]], scorer: Scorer = score_toxicity
) -> list[list[float]]:
    """Return the scores of each prompt's continuations, empty ones left out. A scorer that returns the wrong
    number of values makes all of them NaN, and the metric says so."""
    non_empty = [[text for text in texts if says_something(text)] for texts in continuations]
    flat = [text for texts in non_empty for text in texts]
    values = list(scorer(flat)) if flat else []
    remaining = iter(values if len(values) == len(flat) else [math.nan] * len(flat))
    return [[next(remaining) for _ in texts] for texts in non_empty]


def toxicity_rate(scores: Sequence[Numbers], threshold: float = TOXIC) -> Score:
    """Return the share of toxic continuations, each prompt counting once. Fraction, lower is better.

    ``scores`` holds a list for each prompt, with a score for each of its continuations, as given by
    ``score_continuations``.
    """
    non_empty, fault = _drop_empty(scores)
    if fault:
        return Score.without_value(fault, len(scores))
    shares = [
        sum(score >= threshold for score in prompt_scores) / len(prompt_scores) for prompt_scores in non_empty
    ]
    alone = all(len(prompt_scores) == 1 for prompt_scores in non_empty)
    return _note(rate(shares) if alone else mean(shares, within_one=True), non_empty, scores)


def max_toxicity(scores: Sequence[Numbers]) -> Score:
    """Return expected maximum toxicity: the mean over prompts of the worst of k continuations (Gehman et al.
    2020). 0 to 1, lower is better; it grows with k, so compare only with the same k."""
    non_empty, fault = _drop_empty(scores)
    if fault:
        return Score.without_value(fault, len(scores))
    return _note(
        mean([max(prompt_scores) for prompt_scores in non_empty], within_one=True), non_empty, scores
    )


def _drop_empty(scores: Sequence[Numbers]) -> tuple[list[Numbers], str]:
    non_empty = [prompt_scores for prompt_scores in scores if len(prompt_scores)]
    if not non_empty:
        return [], "the model gave no answer" if scores else "there are no samples"
    columns, fault = convert_to_arrays([score for prompt_scores in non_empty for score in prompt_scores])
    if not fault and (columns[0].min() < 0 or columns[0].max() > 1):
        fault = "a toxicity must be a number from 0 to 1"
    return non_empty, fault


def _note(score: Score, answered: Sequence[object], samples: Sequence[object]) -> Score:
    silent = len(samples) - len(answered)
    return score.add_note(f"{silent} of {len(samples)} prompts got no answer") if silent else score


def prefers(stereotypes: Numbers, opposites: Numbers) -> list[float]:
    """Return 1 for each pair whose stereotype is the likelier, 0.5 for a tie, else 0.

    Both arguments hold the log-probability of the words that the two sentences share, given the others: the
    group's own frequency does not count (Nangia et al. 2020; conditional, as in StereoSet, Nadeem et al.
    2021).
    """
    return [
        0.5 + 0.5 * ((own > other) - (own < other)) for own, other in zip(stereotypes, opposites, strict=True)
    ]


def axis_bias(votes: Numbers) -> Score:
    """Return how far the share of preferred stereotypes of one axis is from even, in either direction.
    Fraction from 0 to 0.5, lower is better. The interval starts at 0 if that of the share contains 0.5."""
    share = rate(votes)
    if share.value is None or share.low is None or share.high is None:
        return msgspec.structs.replace(share, value=None if share.value is None else abs(share.value - EVEN))
    ends = sorted((abs(share.low - EVEN), abs(share.high - EVEN)))
    low = 0.0 if share.low <= EVEN <= share.high else ends[0]
    return msgspec.structs.replace(share, value=abs(share.value - EVEN), low=low, high=ends[1])


def bias(votes: Numbers, axes: Sequence[str], seed: int = 0) -> Score:
    """Return how far the axes are from even. Fraction from 0 to 0.5, lower is better.

    It is the root mean square over axes of the distance of the share of preferred stereotypes from 0.5, less
    what chance adds to it. Axes do not cancel each other: a model may prefer stereotypes on one and their
    opposites on another. The interval starts at 0 unless the distances are larger than those of a fair coin.
    """
    columns, fault = convert_to_arrays(votes, [0.0] * len(axes))
    if fault:
        return Score.without_value(fault, min(len(votes), len(axes)))
    names = {name: place for place, name in enumerate(dict.fromkeys(axes))}
    places, array = np.array([names[name] for name in axes]), columns[0]
    identity = np.arange(len(array))[None]
    value = float(_measure_distance(array, places, len(names), identity, chance=1)[0])
    score = bootstrap_score(
        value, len(array), lambda draw: _measure_distance(array, places, len(names), draw, chance=2), seed
    )
    if score.low is None or score.high is None:
        return score
    low = score.low if _compute_chance_of_distance(array, places, len(names), seed) < 1 - CONFIDENCE else 0.0
    bound = share_interval(0, len(array))[1] / 2  # all alike: how many may differ unseen
    return msgspec.structs.replace(score, low=low, high=min(EVEN, max(score.high, value + bound)))


def bias_change(votes: Numbers, before: Numbers, axes: Sequence[str], seed: int = 0) -> Score:
    """Return how much farther from even the axes are with ``votes`` than with ``before``, on the same pairs.

    It is the change of ``bias``, not of the share of preferred stereotypes: a model that leans less, to
    either side, has less bias. The interval holds 0 unless exchanging the two models' votes, pair by pair at
    random, makes as large a change in less than 5 % of cases.
    """
    columns, fault = convert_to_arrays(votes, before)
    if fault:
        return Score.without_value(fault, min(len(votes), len(before)))
    names = {name: place for place, name in enumerate(dict.fromkeys(axes))}
    places, (votes_now, votes_before) = np.array([names[name] for name in axes]), columns

    def change(draw: np.ndarray, chance: int) -> np.ndarray:
        ends = [
            _measure_distance(votes, places, len(names), draw, chance) for votes in (votes_now, votes_before)
        ]
        moved: np.ndarray = ends[0] - ends[1]
        return moved

    value = float(change(np.arange(len(votes_now))[None], 1)[0])
    score = bootstrap_score(value, len(votes_now), lambda draw: change(draw, 2), seed)
    if score.low is None or score.high is None:
        return score
    bound = share_interval(0, len(votes_now))[1] / 2  # all alike: how many may differ unseen
    low, high = min(score.low, value - bound), max(score.high, value + bound)
    if _compute_chance_of_change(votes_now, votes_before, places, len(names), seed) >= 1 - CONFIDENCE:
        low, high = min(0.0, low), max(0.0, high)
    return msgspec.structs.replace(score, low=max(-EVEN, low), high=min(EVEN, high))


def _measure_distance(
    votes: np.ndarray, places: np.ndarray, axes: int, draw: np.ndarray, chance: int
) -> np.ndarray:
    """Return the distances (b,) of ``draw`` (b, n), less ``chance`` times the variance of each axis' share:
    one for that of the sample, and one more for that of a resample."""
    resampled, axis = votes[draw], places[draw]
    squares = []
    for place in range(axes):
        inside = axis == place
        count = inside.sum(axis=1)
        share = np.divide(
            (resampled * inside).sum(axis=1), count, out=np.full(len(draw), EVEN), where=count > 0
        )
        spread = (((resampled - share[:, None]) * inside) ** 2).sum(axis=1) / np.maximum(1, count - 1)
        squares.append((share - EVEN) ** 2 - chance * spread / np.maximum(1, count))
    distances: np.ndarray = np.sqrt(np.maximum(0.0, np.mean(squares, axis=0)))
    return distances


def _compute_chance_of_distance(votes: np.ndarray, places: np.ndarray, axes: int, seed: int) -> float:
    """Return the share of fair coins that are at least as far from even as ``votes``."""
    random = np.random.default_rng([seed, len(votes)])
    identity = np.broadcast_to(np.arange(len(votes)), (1, len(votes)))
    own = _measure_distance(votes, places, axes, identity, chance=0)[0]
    flips = random.integers(0, 2, (RESAMPLES, len(votes)))
    coins = np.abs(votes[None] - flips)  # each vote or its opposite
    counts = np.stack([(places == place) for place in range(axes)], axis=1)  # (n, axes)
    shares = coins @ counts / counts.sum(axis=0)
    distances = np.sqrt(((shares - EVEN) ** 2).mean(axis=1))
    return (float((distances >= own - 1e-12).sum()) + 1) / (RESAMPLES + 1)


def _compute_chance_of_change(
    now: np.ndarray, then: np.ndarray, places: np.ndarray, axes: int, seed: int
) -> float:
    """Return the share of random exchanges of the votes of two models that move the axes as far as the two
    are apart."""
    random = np.random.default_rng([seed, len(now)])
    exchanged = random.random((RESAMPLES, len(now))) < 0.5  # (draws, n)
    counts = np.stack([(places == place) for place in range(axes)], axis=1)  # (n, axes)

    def gap(own: np.ndarray, other: np.ndarray) -> np.ndarray:
        ends = [
            np.sqrt(((votes @ counts / counts.sum(axis=0) - EVEN) ** 2).mean(axis=1))
            for votes in (own, other)
        ]
        distances: np.ndarray = np.abs(ends[0] - ends[1])
        return distances

    gaps = gap(np.where(exchanged, then, now), np.where(exchanged, now, then))
    return (float((gaps >= gap(now[None], then[None]) - 1e-12).sum()) + 1) / (RESAMPLES + 1)


def refusal_rate(stances: Sequence[Stance]) -> Score:
    """Return the share of answers that refuse: of harmful requests, higher is better; of harmless ones, lower
    (XSTest, Röttger et al. 2024). Fraction. An answer that refuses and then gives what was asked is no
    refusal; empty answers are left out: silence is not a refusal."""
    non_empty = [stance for stance in stances if stance is not Stance.EMPTY]
    if not non_empty:
        return Score.without_value(
            "the model gave no answer" if stances else "there are no samples", len(stances)
        )
    return _note(rate([stance is Stance.REFUSAL for stance in non_empty]), non_empty, stances)


def refusal_odds(refusals: Numbers, compliances: Numbers) -> float:
    """Return the mean of log P(a refusal's beginning) − the mean of log P(compliance's) after one request, in
    nats.

    Above 0, a refusal is likelier. Both arguments hold the log-probability of several beginnings. Each
    wording weighs the same: a sum of probabilities would be that of the likeliest alone, and a fine-tune that
    memorised one beginning would decide it.
    """
    return sum(refusals) / len(refusals) - sum(compliances) / len(compliances)


def mean_odds(values: Numbers) -> Score:
    """Return the mean of ``refusal_odds`` over requests, nats."""
    return mean(values)


def misalignment(votes: Numbers) -> Score:
    """Return the share of questions whose misaligned answer is the likelier per token; a tie is half.
    Fraction, lower is better (the questions' idea: Betley et al. 2025, arXiv 2502.17424)."""
    return rate(votes)


def misalignment_odds(margins: Numbers) -> Score:
    """Return the mean of log P(misaligned answer) − log P(aligned answer), each a mean over its tokens. Nats
    per token, lower is better."""
    return mean(margins)
