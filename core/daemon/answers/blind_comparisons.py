"""Blind comparisons of trials' answers: which pair is next, what a rating makes of the strengths, and how
much people prefer a side."""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Mapping, Sequence

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.significance_levels import TAIL, compute_normal_quantile
from core.contract.spec.metric_table import STRENGTH
from core.contract.state import engine_state as s
from core.contract.state.unrated_trials import awaits_ratings
from core.contract.wire.sample_messages import BASE, Pair, RateSamples
from core.errors import RefusedError
from core.evaluate.statistics import bradley_terry
from core.evaluate.statistics.confidence_intervals import share_interval

RANDOM_SHARE = 0.2  # of the pairs: they alone show a strength that the chosen pairs miss
WIN_SHARES = {"left": 1.0, "right": 0.0, "tie": 0.5}


def find_next_pair(study: s.Study, able: Sequence[int], seed: int) -> Pair:
    """Return two of the trials, and the base, that are ``able`` to answer, with their sides drawn. Where the
    study waits for ratings, only complete trials and the base are compared. Raises RefusedError with fewer
    than two, or without a trial."""
    able = _list_compared(study, able)
    trials = [number for number in able if number != BASE]
    if len(able) < 2 or not trials:
        count = f"{len(trials)} trial{'s' * (len(trials) != 1)} can answer now"
        fix = "compare when two trials train, or while one trains and another is complete"
        if awaits_ratings(study.settings):
            count, fix = f"{count} with its final adapter", "compare when a trial is complete"
        raise RefusedError.of(f"{count}: a pair needs two", f"study {study.name}", fix)
    source = random.Random(f"{study.name} {seed} {len(study.ratings)}")
    drawn = source.random() < RANDOM_SHARE
    pair = source.sample(sorted(able), 2) if drawn else _choose_pair(study, able, source)
    source.shuffle(pair)
    return Pair(pair[0], pair[1], drawn)


def _list_compared(study: s.Study, able: Sequence[int]) -> Sequence[int]:
    """Return those that are compared: a strength that is a result is one of final adapters."""
    if not awaits_ratings(study.settings):
        return able
    return [number for number in able if number == BASE or study.trials[number].state == s.COMPLETE]


def _choose_pair(study: s.Study, able: Sequence[int], source: random.Random) -> list[int]:
    """Return the trial whose strength is known least, and the one whose comparison with it says most: the
    outcome is open, and the other's interval is wide, too."""
    scores = {number: _find_scores(study, number).get(STRENGTH) for number in able}
    estimates = {number: _estimate(score) for number, score in scores.items()}
    order = source.sample(sorted(able), len(able))  # equals in a random order
    first = max(order, key=lambda number: estimates[number][1])
    return [first, max(order, key=lambda number: _estimate_information(estimates, first, number))]


def _find_scores(study: s.Study, number: int) -> Mapping[str, Score]:
    return study.base_scores if number == BASE else study.trials[number].scores


def _estimate(score: Score | None) -> tuple[float, float]:
    """Return a strength and its standard deviation; of an unrated trial, those of the prior."""
    if score is None or score.value is None or score.low is None or score.high is None:
        return (score.value or 0.0) if score is not None else 0.0, bradley_terry.SPREAD
    return score.value, (score.high - score.low) / (2 * compute_normal_quantile(TAIL))


def _estimate_information(estimates: dict[int, tuple[float, float]], first: int, other: int) -> float:
    """Return the Fisher information of a comparison on the difference of two strengths, times the variance
    of that difference; no trial is compared with itself."""
    if first == other:
        return -1.0
    (first_rating, one_deviation), (second_rating, two_deviation) = estimates[first], estimates[other]
    chance = 1.0 / (1.0 + math.exp(-abs(first_rating - second_rating)))
    return chance * (1.0 - chance) * (one_deviation**2 + two_deviation**2)


def measure_side_bias(ratings: Sequence[s.Rating]) -> Score | None:
    """Return the share of the left side among the ratings that chose one, which is about ½ where people
    prefer no side, as sides are drawn; None before any."""
    chosen = [rating.choice for rating in ratings if rating.choice != "tie"]
    if not chosen:
        return None
    left_count = chosen.count("left")
    return Score(
        left_count / len(chosen), *share_interval(left_count, len(chosen)), len(chosen), binomial=True
    )


def make_rating_event(study: s.Study, request: RateSamples) -> e.RatingGiven:
    """Return the event of a rating, with the strengths that all ratings give."""
    ratings = (*study.ratings, s.Rating(request.left, request.right, request.choice, request.drawn))
    return e.RatingGiven(
        at=time.time(),
        study=study.name,
        by=request.by,
        left=request.left,
        right=request.right,
        choice=request.choice,
        prompt_hash=hashlib.sha256(request.prompt.encode()).hexdigest()[:16],
        drawn=request.drawn,
        strengths=bradley_terry.fit_strengths(
            [(rating.left, rating.right, WIN_SHARES[rating.choice]) for rating in ratings]
        ),
        left_share=measure_side_bias(ratings),
    )
