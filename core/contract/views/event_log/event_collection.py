"""All events of a study in one list, each once: the study's own lines and those of its trials. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from core.contract.state import engine_state as s
from core.contract.state.event_list_lines import PastLine

OF_TRIAL = re.compile(r"trial (\d+)\b:? ?(.*)", re.DOTALL)
COMPARED = 400  # characters: the study's lines are cut a little earlier than those of trials


class EventRow(NamedTuple):
    """One event: when (Unix seconds), what, info, warning or error, and its trial (-1: none)."""

    at: float
    text: str
    level: str = "info"
    trial: int = -1


Lines = tuple[s.Line, ...]


class EventCollection:
    """Keeps the study's own lines, also when the state drops them; ``rows`` stand in order of time. A table
    refers to a row by its number in ``by_number``, which stays the same."""

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.number_of: dict[EventRow, int] = {}
        self.by_number: list[EventRow] = []
        self._of_trials: dict[int, tuple[Lines, list[EventRow]]] = {}
        self._of_study: dict[EventRow, None] = {}
        self._study_lines: Lines = ()

    def take(self, study: s.Study) -> bool:
        """Take the lines of ``study``, always the same one; return whether there was anything new."""
        changed = self._take_trials(study.trials)
        if study.lines is not self._study_lines:
            self._study_lines, changed = study.lines, True
            for line in study.lines:
                row = self._make_row(line)
                if row is not None:
                    self._of_study.setdefault(row)
        if changed:
            self._arrange()
        return changed

    def add_past(self, lines: Iterable[PastLine]) -> None:
        """Take lines that the state no longer has."""
        self._of_study |= {EventRow(*_list_fields(line)): None for line in lines}
        self._arrange()

    def _take_trials(self, trials: dict[int, s.Trial]) -> bool:
        changed = False
        for number, trial in trials.items():
            known_lines = self._of_trials.get(number)
            if known_lines is None or known_lines[0] is not trial.lines:
                rows = [EventRow(line.at, line.text, line.level, number) for line in trial.lines]
                self._of_trials[number] = (trial.lines, rows)
                changed = True
        return changed

    def _make_row(self, line: s.Line) -> EventRow | None:
        """Return the row of a line of the study; None where its trial has it, too."""
        match = OF_TRIAL.match(line.text)
        if match is None or int(match[1]) not in self._of_trials:
            return EventRow(line.at, line.text, line.level)
        number, text = int(match[1]), match[2]
        of_trial = self._of_trials[number][1]
        if any(row.at == line.at and row.text[:COMPARED] == text[:COMPARED] for row in reversed(of_trial)):
            return None
        return EventRow(line.at, text, line.level, number)

    def _arrange(self) -> None:
        rows = dict(self._of_study)
        for _, of_trial in self._of_trials.values():
            rows.update(dict.fromkeys(of_trial))
        self.rows = sorted(rows, key=lambda row: row.at)
        for row in self.rows:
            if row not in self.number_of:
                self.number_of[row] = len(self.by_number)
                self.by_number.append(row)


def _list_fields(line: PastLine) -> tuple[float, str, str, int]:
    return line.at, line.text, line.level, line.trial
