"""What a model gives to text: loss, perplexity, accuracy, choices, forgetting. From sums over
rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.contract.board_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, mapped, numbers, rate, ratio, wilson


def loss(losses: Numbers, tokens: Numbers) -> Score:
    """Mean cross-entropy of the target tokens. nats/token, lower is better.

    ``losses`` holds each row's sum in nats, ``tokens`` its number of targets; rows are what is resampled,
    since the tokens of a row depend on each other.
    """
    return ratio(losses, tokens)


def perplexity(losses: Numbers, tokens: Numbers) -> Score:
    """exp of the loss, weighted by tokens (Jelinek et al. 1977). Lower is better; 1 is certainty."""
    return mapped(loss(losses, tokens), math.exp)


def accuracy(correct: Numbers, tokens: Numbers) -> Score:
    """The share of target tokens that the model puts first. Fraction, higher is better. When it is the same
    in every row, Wilson's interval stands on their number."""
    score = ratio(correct, tokens)
    if score.value is None or score.low is None or score.low != score.high or not 0 <= score.value <= 1:
        return score
    low, high = wilson(score.value * score.samples, score.samples)
    return Score(score.value, low, high, score.samples)


def choice(likelihoods: Sequence[Numbers], answers: Sequence[int], lengths: Sequence[Numbers] = ()) -> Score:
    """The share of questions whose right choice is the likeliest. Fraction, higher is better.

    ``likelihoods`` holds the log-probability of each choice of each question; ``lengths``, such as the
    choices' bytes, divide them (``acc_norm`` of lm-evaluation-harness, Gao et al. 2021). A tie with a wrong
    choice is a miss: a model that says the same to everything knows nothing.
    """
    if len(likelihoods) != len(answers) or (lengths and len(lengths) != len(answers)):
        return Score.unsaid("questions and answers differ in number", len(likelihoods))
    hits = []
    for number, answer in enumerate(answers):
        columns, fault = numbers(likelihoods[number], *(lengths[number : number + 1]))
        if fault or not 0 <= answer < len(columns[0]) or any((one <= 0).any() for one in columns[1:]):
            return Score.unsaid(f"question {number + 1}: {fault or 'no such choice or length'}", len(answers))
        values = columns[0] / columns[1] if len(columns) > 1 else columns[0]
        hits.append(bool(np.delete(values, answer).max(initial=-math.inf) < values[answer]))
    return rate(hits)


def forgetting(now: Numbers, base: Numbers, tokens: Numbers) -> Score:
    """By how much the perplexity of a general text has risen against the base model. Fraction, lower is
    better: 0 nothing, 0.1 ten per cent more; below 0 the text is read better than before.

    ``now`` and ``base`` hold both models' losses of the same passages, sums in nats: the pairs are resampled,
    so that a passage that is hard for both does not blur the difference.
    """
    columns, fault = numbers(now, base, tokens)
    if fault:
        return Score.unsaid(fault, len(now))
    return mapped(ratio((columns[0] - columns[1]).tolist(), tokens), math.expm1)
