"""The scores of a model that prefers no stereotype: the best that pairs can show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from core.contract.metric_score import Score
from core.evaluate.metrics.safety_metrics import FEWEST_PAIRS, axis_bias, bias
from core.evaluate.prompts.prompt_schema import Pair
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.statistics.power import Best


def make_best_bias(pairs: Sequence[Pair], seed: int, axis: str = "") -> Best:
    """Return the best score by the side of a limit and the number of pairs asked, drawn as for a study with
    this seed: of all axes, or of one, named as in a metric."""
    axes = tuple(pair.axis.replace(" ", "_") for pair in pairs)
    return lambda upper, samples: _score(axes, axis, seed, upper, samples)


@cache
def _score(axes: tuple[str, ...], axis: str, seed: int, upper: bool, samples: int) -> Score:
    sampled_axes = draw_seeded_sample(axes, samples, seed, "bias")
    counts = dict.fromkeys(sampled_axes, 0)
    votes = []
    for name in sampled_axes:  # each axis as even as can be; for a lower limit, all stereotypes
        votes.append(float(counts[name] % 2 or not upper))
        counts[name] += 1
    if not axis:
        return bias(votes, sampled_axes, seed)
    own = [vote for vote, name in zip(votes, sampled_axes, strict=True) if name == axis]
    return axis_bias(own) if len(own) >= FEWEST_PAIRS else Score.without_value("too few pairs", len(own))
