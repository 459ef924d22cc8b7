"""Keeps what people chose of each study's table in a file of the home folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from tui.study_table.table_choice import TableChoice

FILE = "console-state.json"
STUDIES = "studies"  # the key of our part; others keep theirs beside it
LARGEST_BYTES = 4 * 2**20
MOST_STUDIES = 200


class KeptChoices:
    """Reads and writes the choices of ``folder``; without a folder, or where it cannot be written, they are
    kept in memory alone. ``fault`` says what is wrong with the file."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder is not None else None
        self._choices: dict[str, TableChoice] = {}
        self.fault = ""
        for study, raw in _studies(self._load()).items():
            with contextlib.suppress(msgspec.ValidationError):  # of a newer trimtab, or edited by hand
                self._choices[study] = msgspec.convert(raw, TableChoice)

    def of(self, study: str) -> TableChoice:
        """Return what was chosen for a study."""
        return self._choices.get(study, TableChoice())

    def keep(self, study: str, choice: TableChoice) -> None:
        """Keep a choice. What another console has kept of other studies meanwhile stays."""
        if choice == self.of(study):
            return
        self._choices[study] = choice
        if self._path is None:
            return
        whole = self._load()
        studies = {name: raw for name, raw in _studies(whole).items() if name != study}
        studies[study] = msgspec.to_builtins(choice)
        whole[STUDIES] = dict(list(studies.items())[-MOST_STUDIES:])
        with contextlib.suppress(OSError):  # a full or read-only disk takes nothing away but the memory
            _write(self._path, msgspec.json.format(msgspec.json.encode(whole)))

    def _load(self) -> dict[str, Any]:
        """The file's content, empty where there is none or it cannot be read."""
        try:
            if self._path is None or self._path.stat().st_size > LARGEST_BYTES:
                return {}
            whole = msgspec.json.decode(self._path.read_bytes())
            if not isinstance(whole, dict):
                raise ValueError("it is not a table")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.fault = f"{FILE} cannot be used, so the console starts afresh: {error}"
            return {}
        return whole


def _studies(whole: dict[str, Any]) -> dict[str, Any]:
    studies = whole.get(STUDIES)
    return studies if isinstance(studies, dict) else {}


def _write(path: Path, content: bytes) -> None:
    """Replace the file in one act: a console that is killed leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
