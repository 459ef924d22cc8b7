"""A recommendation for one knob: value, reason and source; and the rule that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.advise.advice_case import Case
from core.advise.citations import Source

# The value (a table is a range to search), the reason with this case's numbers, and optionally a source that
# replaces the rule's own; None leaves the key out.
Chosen = tuple[Any, str] | tuple[Any, str, Source] | None


@dataclass(frozen=True)
class Rule:
    """Chooses the value of ``knob`` in ``section`` of the study file; a range goes to [space]."""

    section: str
    knob: str
    choose: Callable[[Case], Chosen]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Line:
    """One recommended line of a study file."""

    section: str
    knob: str
    value: Any
    why: str
    sources: tuple[Source, ...]


def apply(rule: Rule, case: Case) -> Line | None:
    """Return the line that ``rule`` recommends for ``case``; None if it has no advice."""
    advice = rule.choose(case)
    if advice is None:
        return None
    searched = isinstance(advice[0], dict) and rule.section == "train"
    sources = (advice[2],) if len(advice) == 3 else rule.sources
    return Line("space" if searched else rule.section, rule.knob, advice[0], advice[1], sources)


def round_digits(value: float, digits: int = 2) -> float:
    """Return ``value`` rounded to ``digits`` significant digits."""
    return float(f"{value:.{digits}g}")
