"""Limits on metrics, such as ``safety/toxicity <= 0.02``: parsed from text, compared with the interval, and
reported to samplers as constraints."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from core.contract.metric_score import Score
from core.contract.significance_levels import FALSE_BREACH, look_tail
from core.contract.spec.metric_table import STRENGTH, WHY_NO_LIMIT, find_metric, suggest_name
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
from core.errors import SpecError

Verdict = Literal["ok", "breached", "unsure"]
_FORM = re.compile(r"\s*(?P<metric>[^\s<>=]+)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>\S.*?)\s*")
_QUANTITY = re.compile(
    r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(?P<unit>%|[a-z]\S*)?", re.IGNORECASE
)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
TINY = 1e-9  # the violation of a strict limit by the bound itself
_FIX = 'write it such as "safety/toxicity <= 0.02"'


@dataclass(frozen=True)
class Limit:
    """A bound on a metric. ``strict`` limits exclude the bound itself."""

    metric: str
    upper: bool  # the metric must stay below
    bound: float
    strict: bool = False

    @classmethod
    def parse(cls, text: str, location: str = "") -> Limit:
        """Return the limit in ``text``: a metric, ``<= < >= >``, and a number, a percentage, or a number with
        a unit of what the metric measures: "22 GiB", "40 ms".

        Raises SpecError for another form, an unknown metric, a bound that is not finite, or a unit that the
        metric does not have.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise SpecError.of(f"{sanitize(text, 80)!r} is not a limit", location, _FIX)
        metric, sign = match["metric"], match["sign"]
        if find_metric(metric) is None:
            raise SpecError.of(
                f"unknown metric {sanitize(metric, 80)!r} in a limit", location, suggest_name(metric)
            )
        if metric == STRENGTH:
            fix = "make it an objective, or limit another metric"
            raise SpecError.of(f"{metric} has no limits: {WHY_NO_LIMIT}", location, fix)
        return cls(metric, sign[0] == "<", _parse_bound(metric, match["bound"], location), "=" not in sign)

    def __str__(self) -> str:
        """Return as ``parse`` reads it."""
        sign = f"{'<' if self.upper else '>'}{'' if self.strict else '='}"
        return f"{self.metric} {sign} {_format_bound(self.bound, _find_unit(self.metric))}"

    def judge(self, score: Score, look: int = 1, limits: int = 1) -> Verdict:
        """Return "ok" if the whole interval keeps the limit, "breached" if a wider interval is wholly beyond
        it, else "unsure".

        Without a value or an interval the verdict is "unsure". Every scoring may report a breach, and a
        breach has consequences, so the chance of a false one is bounded over the trial's life: by the
        ``look``, the metric's scorings so far, and the study's number of ``limits``.
        """
        ends = score.interval
        if score.value is None or ends is None:
            return "unsure"
        if all(self.keeps(end) for end in ends):
            return "ok"
        wide_interval = score.widen(look_tail(FALSE_BREACH, look, limits)).interval or ends
        return "unsure" if any(self.keeps(end) for end in wide_interval) else "breached"

    def keeps(self, value: float) -> bool:
        """Tell whether ``value`` keeps the limit."""
        if value == self.bound:
            return not self.strict
        return value < self.bound if self.upper else value > self.bound

    def measure_violation(self, value: float) -> float:
        """Return how far ``value`` is beyond the bound, as a fraction of the bound (of 1 if the bound is 0);
        0 or less if the limit is kept.

        As fractions, constraints in bytes and in shares weigh the same.
        """
        beyond = (value - self.bound if self.upper else self.bound - value) / (abs(self.bound) or 1.0)
        return TINY if self.strict and value == self.bound else beyond


def measure_violations(limits: Iterable[Limit], metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the violation of each limit, by its text: above 0 the limit is broken, else kept.

    A limit without a score has no entry: whether it is kept is unknown.
    """
    read = ((limit, metrics.get(limit.metric)) for limit in limits)
    return {
        str(limit): limit.measure_violation(value)
        for limit, value in read
        if value is not None and math.isfinite(value)
    }


def _parse_bound(metric: str, text: str, location: str) -> float:
    match = _QUANTITY.fullmatch(text)
    number = float(match["number"]) if match else math.nan
    if match is None or not math.isfinite(number):
        raise SpecError.of(f"{sanitize(text, 80)!r} is not a number for a limit", location, _FIX)
    if match["unit"] is None:
        return number
    units = _list_units(_find_unit(metric))
    scale = units.get(match["unit"]) or units.get(match["unit"].lower())
    if scale is None:
        raise SpecError.of(
            f"{sanitize(text, 80)!r} has a unit that {metric} is not measured in", location,
            f"write it without one, or in {', '.join(units)}",
        )  # fmt: skip
    return number / 100 if match["unit"] == "%" else number * scale


def _find_unit(metric: str) -> str:
    entry = find_metric(metric)
    return entry.unit if entry is not None else ""


def _list_units(unit: str) -> dict[str, float]:
    """Return the size of each unit that may be written, in units of ``unit``."""
    if unit == "bytes":
        return {name: float(scale) for name, scale in byte_sizes.UNITS.items() if name}
    if unit == "s":
        return _SECONDS
    if unit == "points":
        return {"%": 0.01, "points": 0.01}
    return {"%": 0.01, **({unit: 1.0} if unit and " " not in unit else {})}


def _format_bound(bound: float, unit: str) -> str:
    exact = next(
        (size for size in ("GiB", "MiB") if unit == "bytes" and bound % byte_sizes.UNITS[size.lower()] == 0),
        "",
    )
    return f"{bound / byte_sizes.UNITS[exact.lower()]:g} {exact}" if exact and bound else _format_short(bound)


def _format_short(number: float) -> str:
    text = f"{number:g}"
    return text if float(text) == number else repr(number)
