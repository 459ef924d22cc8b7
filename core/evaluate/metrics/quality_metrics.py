"""Quality metrics from likelihoods: loss, multiple choice, forgetting, robustness to typos."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import (
    Numbers,
    convert_to_arrays,
    mean,
    rate,
    ratio,
    transform,
)


def loss(losses: Numbers, tokens: Numbers) -> Score:
    """Return mean cross-entropy of the target tokens. nats/token, lower is better.

    ``losses`` holds each row's sum in nats, ``tokens`` its number of targets. Rows are resampled, since the
    tokens of a row depend on each other.
    """
    return ratio(losses, tokens)


def choice(likelihoods: Sequence[Numbers], answers: Sequence[int], lengths: Sequence[Numbers] = ()) -> Score:
    """Return the share of questions whose right choice is the likeliest. Fraction, higher is better.

    ``likelihoods`` holds the log-probability of each choice of each question; ``lengths``, such as the
    choices' bytes, divide them (``acc_norm`` of lm-evaluation-harness, Gao et al. 2021). A tie with a wrong
    choice is a miss: a model that rates all choices the same knows nothing.
    """
    if len(likelihoods) != len(answers) or (lengths and len(lengths) != len(answers)):
        return Score.without_value("questions and answers differ in number", len(likelihoods))
    hits = []
    for number, answer in enumerate(answers):
        columns, fault = convert_to_arrays(likelihoods[number], *(lengths[number : number + 1]))
        if fault or not 0 <= answer < len(columns[0]) or any((column <= 0).any() for column in columns[1:]):
            return Score.without_value(
                f"question {number + 1}: {fault or 'no such choice or length'}", len(answers)
            )
        values = columns[0] / columns[1] if len(columns) > 1 else columns[0]
        hits.append(bool(np.delete(values, answer).max(initial=-math.inf) < values[answer]))
    return rate(hits)


def forgetting(now: Numbers, base: Numbers, tokens: Numbers) -> Score:
    """Return how much the perplexity of general text rose compared with the base model. Fraction, lower is
    better: 0.1 is ten per cent more; below 0 the text is predicted better than before.

    ``now`` and ``base`` hold both models' losses of the same passages, sums in nats. Pairs are resampled, so
    that a passage that is hard for both does not blur the difference.
    """
    columns, fault = convert_to_arrays(now, base, tokens)
    if fault:
        return Score.without_value(fault, len(now))
    return transform(ratio((columns[0] - columns[1]).tolist(), tokens), math.expm1)


def robustness(perturbed: Numbers, clean: Numbers) -> Score:
    """Return the accuracy on answers after questions with typos, divided by that after the questions as they
    are (the idea of Belinkov and Bisk 2018). Fraction, higher is better; 1 loses nothing. Both hold each
    row's accuracy, in the same order."""
    columns, fault = convert_to_arrays(perturbed, clean)
    if fault:
        return Score.without_value(fault, len(clean))
    if columns[1].sum() == 0:
        return Score.without_value("the model is never right after the clean questions", len(clean))
    return ratio(perturbed, clean)


def loss_rise(perturbed: Numbers, clean: Numbers) -> Score:
    """Return the mean rise of an answer's loss by the same typos. nats/token, lower is better."""
    columns, fault = convert_to_arrays(perturbed, clean)
    if fault:
        return Score.without_value(fault, len(clean))
    return mean((columns[0] - columns[1]).tolist())
