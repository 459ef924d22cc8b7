"""The file of the home folder in which the console keeps what people chose, study by study."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.errors import TrimtabError

FILE = "console-state.json"
LARGEST_BYTES = 4 * 2**20
MOST_STUDIES = 200


def find_home_folder() -> Path | None:
    """Return the home folder; None where there is none."""
    try:
        return paths.home()
    except TrimtabError:
        return None


class StateFile:
    """Reads and writes parts of the file in ``folder``; without a folder, or where it cannot be written,
    nothing is kept. ``fault`` says what is wrong with the file."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder is not None else None
        self.fault = ""

    def read(self, part: str) -> dict[str, Any]:
        """Return a part of the file by study."""
        return _studies(self._load(), part)

    def keep(self, part: str, study: str, value: Any) -> None:
        """Keep a value of a part. What another console has kept of other studies meanwhile stays."""
        if self._path is None:
            return
        stored = self._load()
        studies = {name: raw for name, raw in _studies(stored, part).items() if name != study}
        studies[study] = msgspec.to_builtins(value)
        stored[part] = dict(list(studies.items())[-MOST_STUDIES:])
        with contextlib.suppress(OSError):  # a full or read-only disk takes nothing away but the memory
            _write(self._path, msgspec.json.format(msgspec.json.encode(stored)))

    def _load(self) -> dict[str, Any]:
        """The file's content, empty where there is none or it cannot be read."""
        try:
            if self._path is None or self._path.stat().st_size > LARGEST_BYTES:
                return {}
            stored = msgspec.json.decode(self._path.read_bytes())
            if not isinstance(stored, dict):
                raise ValueError("it is not a table")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.fault = f"{FILE} cannot be used, so the console starts afresh: {error}"
            return {}
        return stored


def _studies(stored: dict[str, Any], part: str) -> dict[str, Any]:
    studies = stored.get(part)
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
