"""Reads files from a trial's folder as untrusted input: with a size limit, and without following links."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from core import paths

T = TypeVar("T")
LARGEST_BYTES = 4 << 20


def read(folder: Path, name: str, kind: type[T]) -> T:
    """Decode a JSON file as ``kind``.

    Raises FileNotFoundError for a missing file, OSError for a link (the file or one of the folders below the
    study's) or a file over 4 MiB, ValueError for other content.
    """
    for place in (folder, folder.parent, folder.parent.parent):
        if place.is_symlink():
            raise OSError(f"{place.name} is a link")
    with open(folder / name, "rb", opener=paths.open_without_link) as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OSError(f"{name} is larger than 4 MiB")
    return msgspec.json.decode(content, type=kind)
