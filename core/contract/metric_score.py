"""A score of a board: a value, its confidence interval, and the number of samples."""

from __future__ import annotations

import msgspec

from core.contract.significance_levels import TAIL, compute_normal_quantile, compute_t_quantile


class Score(msgspec.Struct, frozen=True):
    """``value`` is None when it is unknown, and ``reason`` says why.

    ``low`` and ``high`` enclose the true value with a probability of 0.95; None when the samples allow no
    interval. A value may have a reason, too: what was left out. ``binomial``: the interval is that of a share
    of hits, or of two, which widens as the normal distribution does; other intervals widen as Student's t.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    samples: int = 0
    reason: str = ""
    binomial: bool = False

    @classmethod
    def without_value(cls, reason: str, samples: int = 0) -> Score:
        """Return a score without a value, with the reason."""
        return cls(None, None, None, samples, reason)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return both ends of the interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        """Return text such as "0.12 (0.07 to 0.2, 100 samples)"."""
        if self.value is None:
            return f"no value: {self.reason}"
        ends = f"{self.low:.3g} to {self.high:.3g}, " if self.interval else ""
        return f"{self.value:.3g} ({ends}{self.samples} sample{'s' * (self.samples != 1)})"

    def clip_interval(self, least: float, most: float) -> Score:
        """Return the score with an interval that does not go beyond what its metric can be."""
        if self.value is None or self.low is None or self.high is None or not least <= self.value <= most:
            return self
        return msgspec.structs.replace(self, low=max(least, self.low), high=min(most, self.high))

    def widen(self, tail: float) -> Score:
        """Return the score with an interval that leaves ``tail``, at most 0.025, beyond each end."""
        if self.value is None or self.low is None or self.high is None or tail >= TAIL:
            return self
        wide_quantile, usual_quantile = (self._compute_quantile(share) for share in (tail, TAIL))
        low, high = (
            self.value + wide_quantile / usual_quantile * (end - self.value) for end in (self.low, self.high)
        )
        return msgspec.structs.replace(self, low=low, high=high)

    def _compute_quantile(self, tail: float) -> float:
        return compute_normal_quantile(tail) if self.binomial else compute_t_quantile(tail, self.samples - 1)

    def add_note(self, reason: str) -> Score:
        """Return the score with an additional remark."""
        reasons = "; ".join(text for text in (self.reason, reason) if text)
        return msgspec.structs.replace(self, reason=reasons)
