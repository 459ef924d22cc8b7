"""Student's t distribution without scipy, whose import takes a third of a second."""

from __future__ import annotations

import math
from statistics import NormalDist


def quantile(tail: float, freedom: int) -> float:
    """The value above which ``tail`` of the distribution with ``freedom`` degrees lies (Hill 1970, algorithm
    396): to five digits from 3 degrees on, exact for 1 and 2."""
    both = 2 * tail
    if freedom <= 1:
        return 1 / math.tan(both * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (both * (2 - both)) - 2)
    a = 1 / (freedom - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * freedom
    y = (d * both) ** (2 / freedom)
    if y > 0.05 + a:
        return _near(NormalDist().inv_cdf(both / 2), freedom, a, b, c, d)
    y = (
        (1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4))
        * y
        - 1
    ) * (freedom + 1) / (freedom + 2) + 1 / y
    return math.sqrt(freedom * y)


def _near(x: float, freedom: int, a: float, b: float, c: float, d: float) -> float:
    """Hill's expansion about the normal distribution, for tails that are not far out."""
    y = x * x
    if freedom < 5:
        c += 0.3 * (freedom - 4.5) * (x + 0.6)
    c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
    y = a * y * y
    return math.sqrt(freedom * (math.expm1(y) if y > 0.002 else 0.5 * y * y + y))
