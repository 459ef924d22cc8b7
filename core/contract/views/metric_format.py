"""Format metric values briefly and with their unit, for the screen and for commands. Pure."""

from __future__ import annotations

import math

from core.contract.metric_score import Score
from core.contract.spec.metric_limits import Limit

NOTHING = "–"
SHARE = "fraction"  # written in percent, its changes in percentage points
POINTS = "points"  # a change of a share is a metric of its own: a fraction, written in percentage points
HUNDREDTHS = (SHARE, POINTS)
NEAR_NONE = 5e-5  # an end of an interval below a hundredth of a percent


def format_figure(value: float | None, unit: str = "") -> str:
    """Format with three significant digits, at most six characters; None as a dash.

    A fraction becomes 12.5%, a change of a fraction +12.5.
    """
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return str(value)
    if unit == POINTS:
        return format_change(value, unit) if value else "0"
    return f"{_format_percent(value)}%" if unit == SHARE else _format_digits(value, 3)


def format_change(change: float | None, unit: str = "") -> str:
    """Format a difference with its sign, of a fraction in percentage points; None as an empty text."""
    if change is None:
        return ""
    digits = _format_percent(abs(change)) if unit in HUNDREDTHS else _format_digits(abs(change), 3)
    return f"{'-' if change < 0 else '+'}{digits}"


def format_difference(change: Score, unit: str = "") -> str:
    """Format a change with its interval: +10.5 points (+2.1 to +18.9)."""
    ends = f" ({' to '.join(format_change(end, unit) for end in change.interval)})" if change.interval else ""
    return f"{format_change(change.value, unit)}{' points' if unit in HUNDREDTHS else ''}{ends}"


def format_interval(score: Score, unit: str = "") -> str:
    """Format the interval, such as 7.1–20.2%, or -7.1…+2 of a change; without one the text is empty."""
    if score.interval is None:
        return ""
    ends = (0.0 if unit == SHARE and abs(end) < NEAR_NONE else end for end in score.interval)
    low, high = (format_figure(end, unit) for end in ends)
    return f"{low}…{high}" if unit == POINTS else f"{low.removesuffix('%')}–{high}"


def format_bound(limit: Limit, unit: str = "") -> str:
    """Format a limit without its metric: ≤ 2%, ≥ -20 points."""
    sign = {(True, False): "≤", (True, True): "<", (False, False): "≥", (False, True): ">"}
    if unit in HUNDREDTHS:
        bound = f"{100 * limit.bound:g}{'%' if unit == SHARE else ' points'}"
    else:
        bound = f"{limit.bound:g}"
    return f"{sign[limit.upper, limit.strict]} {bound}"


def format_score(score: Score, unit: str = "") -> str:
    """Format value, interval and samples: 12.5% (7.1–20.2%, 64 samples)."""
    samples = f"{score.samples:,} sample{'s' * (score.samples != 1)}" if score.samples else ""
    details = ", ".join(part for part in (format_interval(score, unit), samples) if part)
    return f"{format_figure(score.value, unit)} ({details})" if details else format_figure(score.value, unit)


def _format_digits(value: float, most: int) -> str:
    """Format with three significant digits, at most ``most`` after the point; very large or small values as a
    power of ten."""
    size = abs(value)
    if size >= 99_999.5 or 0 < size < 0.5 * 10**-most:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    digits = 0 if size == 0 or size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:.{min(digits, most)}f}"


def _format_percent(value: float) -> str:
    """Format a fraction in percent: one digit after the point, two below a tenth of a percent."""
    return _format_digits(100 * value, 2 if abs(value) < 0.0009 else 1)
