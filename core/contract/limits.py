"""Limits on metrics, such as ``safety/toxicity <= 0.02``: read from text and judged with the interval."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Literal

from core.contract.metrics import METRICS
from core.contract.plain import plain
from core.contract.score import Score
from core.errors import SpecError

Verdict = Literal["ok", "breached", "unsure"]
_FORM = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>\S+?)\s*(?P<percent>%?)\s*")
_FIX = 'write it such as "safety/toxicity <= 0.02"'


@dataclass(frozen=True)
class Limit:
    """What a metric must keep to. ``strict`` limits do not allow the bound itself."""

    metric: str
    upper: bool  # the metric must stay below
    bound: float
    strict: bool = False

    @classmethod
    def parse(cls, text: str, where: str = "") -> Limit:
        """The limit in ``text``: a metric, ``<= < >= >``, and a number or a percentage.

        Raises SpecError for another form, an unknown metric, or a bound that is no finite number.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise SpecError.of(f"{plain(text, 80)!r} is no limit", where, _FIX)
        metric, sign = found["metric"], found["sign"]
        if metric not in METRICS:
            raise SpecError.of(f"unknown metric {plain(metric, 80)!r} in a limit", where, _near(metric))
        bound = _number(found["bound"])
        if not math.isfinite(bound):
            raise SpecError.of(f"{plain(found['bound'], 80)!r} is no number for a limit", where, _FIX)
        return cls(metric, sign[0] == "<", bound / 100 if found["percent"] else bound, "=" not in sign)

    def __str__(self) -> str:
        return f"{self.metric} {'<' if self.upper else '>'}{'' if self.strict else '='} {self.bound:g}"

    def breached(self, score: Score) -> Verdict:
        """ "ok" or "breached" when the whole interval is on one side; "unsure" when it straddles the bound,
        and when there is no value or no interval."""
        ends = score.interval
        if score.value is None or ends is None:
            return "unsure"
        kept = [self.keeps(end) for end in ends]
        return "ok" if all(kept) else "unsure" if any(kept) else "breached"

    def keeps(self, value: float) -> bool:
        """Is ``value`` on the right side?"""
        if value == self.bound:
            return not self.strict
        return value < self.bound if self.upper else value > self.bound


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _near(name: str) -> str:
    close = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(METRICS)}"
