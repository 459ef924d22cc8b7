"""How many trials at once proved worth it, for each kind of device, base and precision. Kept."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from core import paths

VERSION = 1  # of the file; one of another version is as if there were none
KINDS = 200  # in one file, the newest
NUMBERS = 16  # whose rates are kept of a kind
MOST = 64  # trials at once
LARGEST_BYTES = 1 << 20  # of a file that is read


class Proved(msgspec.Struct, frozen=True):
    """``rates``: tokens/s by number, as last compared. ``refused``: larger numbers that were given up."""

    number: int
    rates: dict[int, float] = {}
    refused: tuple[int, ...] = ()
    at: float = 0.0  # seconds since 1970


class _File(msgspec.Struct):
    version: int
    kinds: dict[str, Proved]


class Sharing:
    """All kinds, in one file; one that cannot be read is as if there were none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._kinds: dict[str, Proved] = {}
        if file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                with open(file, "rb", opener=paths.no_link) as source:
                    found = msgspec.json.decode(source.read(LARGEST_BYTES), type=_File)
                if found.version == VERSION:
                    self._kinds = {kind: one for kind, one in found.kinds.items() if 1 <= one.number <= MOST}

    def of(self, kind: str) -> Proved | None:
        """What is known of ``kind``."""
        return self._kinds.get(kind)

    def learn(self, kind: str, proved: Proved) -> None:
        """Keep ``proved`` in the place of what was known, and write the file, aside and in one piece. A full
        disk costs what was learnt, nothing else."""
        self._kinds.pop(kind, None)
        while len(self._kinds) >= KINDS:
            del self._kinds[next(iter(self._kinds))]
        rates = dict(sorted(proved.rates.items())[:NUMBERS])
        refused = proved.refused[:NUMBERS]
        self._kinds[kind] = msgspec.structs.replace(proved, rates=rates, refused=refused)
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            with open(aside, "wb", opener=paths.no_link) as out:
                out.write(msgspec.json.encode(_File(VERSION, self._kinds)))
            aside.rename(self._file)
