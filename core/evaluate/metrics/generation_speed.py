"""Generation speed."""

from __future__ import annotations

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, convert_to_arrays, median, ratio


def speed(tokens: Numbers, seconds: Numbers) -> Score:
    """Return tokens generated per second, over generations of ``tokens`` in ``seconds``. tokens/s, higher is
    better."""
    columns, fault = convert_to_arrays(tokens, seconds)
    if fault:
        return Score.without_value(fault, len(tokens))
    if columns[0].sum() == 0:
        return Score.without_value("the model generated no token", len(tokens))
    return ratio(tokens, seconds)


def latency(seconds: Numbers) -> Score:
    """Return the median time to the first token. s, lower is better."""
    return median(seconds)
