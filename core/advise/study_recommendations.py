"""Collects all recommendations for a case, in the order of the study file, and the doubts about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.advise import citations, study_setup_rules, tuning_rules
from core.advise.advice_case import HELD_ROWS, Case
from core.advise.knob_recommendation import Line, apply
from core.contract.spec.spec_file import SECTION_NAMES

FEW_ROWS = 500
RULES = (*study_setup_rules.RULES, *tuning_rules.RULES, *study_setup_rules.LAST)


@dataclass(frozen=True)
class Plan:
    """The recommended study file. ``doubts`` are sentences for the user; ``fits`` is false if no trial of
    this base fits on the device."""

    lines: tuple[Line, ...]
    doubts: tuple[str, ...]
    fits: bool

    def list_section(self, section: str) -> tuple[Line, ...]:
        """Return the lines of one section."""
        return tuple(line for line in self.lines if line.section == section)

    def convert_to_raw(self) -> dict[str, dict[str, Any]]:
        """Return the plan as the parsed content of a study file."""
        sections = {
            name: {line.knob: line.value for line in self.list_section(name)} for name in SECTION_NAMES
        }
        return {name: content for name, content in sections.items() if content}


def make_plan(case: Case) -> Plan:
    """Apply all rules to ``case``."""
    lines = [line for rule in RULES if (line := apply(rule, case)) is not None]
    lines += _limit_rows(case)
    lines.sort(key=lambda line: SECTION_NAMES.index(line.section))
    return Plan(tuple(lines), _list_doubts(case), case.room.fits)


def _limit_rows(case: Case) -> list[Line]:
    """Return lines for limited numbers of rows."""
    lines = list[Line]()
    if case.train_rows < case.rows.count - case.held_out_rows:
        why = f"trains on this many of {case.rows.count} rows"
        lines.append(Line("data", "rows", case.train_rows, why, (citations.ASKED,)))
    if case.judges < HELD_ROWS:
        why = "all held-out rows"
        lines.append(Line("evaluate", "rows", case.judges, why, (citations.READ,)))
    return lines


def _list_doubts(case: Case) -> tuple[str, ...]:
    doubts = [*case.base.notes, *case.rows.notes]
    if case.train_rows < FEW_ROWS:
        doubts.append(
            f"{case.train_rows} training rows and {case.judges} validation rows are few: small gaps are noise"
        )
    if case.device.kind == "cpu":
        doubts.append("a trial on a CPU may take hours: start with few rows and a small base")
    if case.whole_s is not None:
        doubts.append("times are guesses: FLOPs of the tokens at 40 % of the card's peak")
    return tuple(doubts)
