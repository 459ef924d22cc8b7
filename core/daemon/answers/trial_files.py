"""Reads what a worker keeps in a trial's folder as if others had written it: whole, small, no link."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from core import paths

T = TypeVar("T")
LARGEST_BYTES = 4 << 20


def read(folder: Path, name: str, kind: type[T]) -> T:
    """The struct of the file. Raises FileNotFoundError where there is none, OSError for a link, on the way
    from the study's folder too, or a larger file; ValueError for anything else than ``kind``."""
    for place in (folder, folder.parent, folder.parent.parent):
        if place.is_symlink():
            raise OSError(f"{place.name} is a link")
    with open(folder / name, "rb", opener=paths.no_link) as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OSError("it is larger than 4 MiB")
    return msgspec.json.decode(content, type=kind)
