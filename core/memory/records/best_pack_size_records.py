"""Records how many trials at once paid off, for each kind of device, base and precision, in a file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from core import paths

VERSION = 1  # of the file; a file of another version is ignored
KINDS = 200  # newest kinds kept in the file
NUMBERS = 16  # rates kept of a kind
MOST = 64  # trials at once
LARGEST_BYTES = 1 << 20  # bytes read of the file


class PackRecord(msgspec.Struct, frozen=True):
    """The calibrated number of trials.

    ``rates``: tokens per second by number of trials, as last measured. ``refused``: larger numbers that did
    not pay off.
    """

    number: int
    rates: dict[int, float] = {}
    refused: tuple[int, ...] = ()
    at: float = 0.0  # seconds since 1970


class _File(msgspec.Struct):
    version: int
    kinds: dict[str, PackRecord]


class PackRecords:
    """The records of all kinds, in one file; an unreadable file counts as empty."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._kinds: dict[str, PackRecord] = {}
        if file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                with open(file, "rb", opener=paths.open_without_link) as source:
                    records = msgspec.json.decode(source.read(LARGEST_BYTES), type=_File)
                if records.version == VERSION:
                    self._kinds = {
                        kind: record for kind, record in records.kinds.items() if 1 <= record.number <= MOST
                    }

    def find(self, kind: str) -> PackRecord | None:
        """The record for ``kind``."""
        return self._kinds.get(kind)

    def learn(self, kind: str, record: PackRecord) -> None:
        """Replace the record of ``kind`` and write the file atomically. On a full disk only the records are
        lost."""
        self._kinds.pop(kind, None)
        while len(self._kinds) >= KINDS:
            del self._kinds[next(iter(self._kinds))]
        rates = dict(sorted(record.rates.items())[:NUMBERS])
        refused = record.refused[:NUMBERS]
        self._kinds[kind] = msgspec.structs.replace(record, rates=rates, refused=refused)
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            with open(aside, "wb", opener=paths.open_without_link) as out:
                out.write(msgspec.json.encode(_File(VERSION, self._kinds)))
            aside.rename(self._file)
