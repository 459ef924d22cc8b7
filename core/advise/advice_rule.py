"""A rule: a knob, how it is chosen for a case and why, and who says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.advise.advice_case import Case
from core.advise.citations import Source

# The value (a table is a range to search), the reason with this case's numbers, and other sources than the
# rule's own where the case calls for them; None: the key is left out.
Chosen = tuple[Any, str] | tuple[Any, str, Source] | None


@dataclass(frozen=True)
class Rule:
    """``section`` of the study file; a range goes to [space] whatever it says."""

    section: str
    knob: str
    choose: Callable[[Case], Chosen]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Line:
    """One recommendation."""

    section: str
    knob: str
    value: Any
    why: str
    sources: tuple[Source, ...]


def applied(rule: Rule, case: Case) -> Line | None:
    """What ``rule`` says of ``case``."""
    chosen = rule.choose(case)
    if chosen is None:
        return None
    searched = isinstance(chosen[0], dict) and rule.section == "train"
    sources = (chosen[2],) if len(chosen) == 3 else rule.sources
    return Line("space" if searched else rule.section, rule.knob, chosen[0], chosen[1], sources)


def rounded(value: float, digits: int = 2) -> float:
    """With so many digits that mean something."""
    return float(f"{value:.{digits}g}")
