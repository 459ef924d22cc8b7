"""Keeps what people chose of each study's table."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from tui.kept_state import StateFile
from tui.study_table.table_choice import TableChoice

STUDIES = "studies"  # the key of this part of the file


class KeptChoices:
    """Reads and writes the choices of ``folder``; without a folder, or where it cannot be written, they are
    kept in memory alone. ``fault`` says what is wrong with the file."""

    def __init__(self, folder: Path | None) -> None:
        self._file = StateFile(folder)
        self._choices: dict[str, TableChoice] = {}
        for study, raw in self._file.read(STUDIES).items():
            with contextlib.suppress(msgspec.ValidationError):  # of a newer trimtab, or edited by hand
                self._choices[study] = msgspec.convert(raw, TableChoice)
        self.fault = self._file.fault

    def find_choice(self, study: str) -> TableChoice:
        """Return what was chosen for a study."""
        return self._choices.get(study, TableChoice())

    def keep(self, study: str, choice: TableChoice) -> None:
        """Keep a choice."""
        if choice != self.find_choice(study):
            self._choices[study] = choice
            self._file.keep(STUDIES, study, choice)
