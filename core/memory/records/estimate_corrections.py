"""Corrects memory estimates by measurements: one factor for each kind of device and base, kept in a file."""

from __future__ import annotations

import contextlib
import os
import statistics
from pathlib import Path

import msgspec

from core import paths

KEPT = 32  # newest measurements of a kind
LEAST, MOST = 0.5, 3.0  # a factor outside is a measuring error, not an estimation error
KINDS = 200  # most kinds in the file


class Correction(msgspec.Struct):
    """Measurements of one kind of device and base.

    ``ratios``: measured over estimated bytes, newest last. ``floor``: the factor below which memory once ran
    out. ``context_bytes``: what the process uses besides its tensors.
    """

    ratios: list[float] = []
    floor: float = 0.0
    context_bytes: int | None = None
    slack: float | None = None  # unused memory that the allocator reserved, as a fraction of the peak

    @property
    def factor(self) -> float:
        """The factor for estimated activations."""
        middle = statistics.median(self.ratios) if self.ratios else 1.0
        return max(middle, self.floor)


class EstimateCorrections:
    """The corrections of all kinds, in one file; an unreadable file counts as empty."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._kinds: dict[str, Correction] = {}
        if file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                with open(file, "rb", opener=paths.open_without_link) as source:
                    self._kinds = msgspec.json.decode(source.read(), type=dict[str, Correction])

    def find(self, kind: str) -> Correction:
        """The corrections for ``kind``."""
        return self._kinds.get(kind, Correction())

    def knows(self, kind: str) -> bool:
        """Whether anything was measured on this ``kind``."""
        return kind in self._kinds

    def learn(self, kind: str, estimated: float, measured: float) -> None:
        """Learn from one measurement: bytes of activations and of everything else that a step allocates and
        frees."""
        if estimated <= 0 or measured <= 0:
            return
        entry = self._find_kind(kind)
        entry.ratios = [*entry.ratios[-KEPT + 1 :], min(MOST, max(LEAST, measured / estimated))]

    def learn_oom(self, kind: str, estimated: float, available: float) -> None:
        """Learn that memory ran out with ``available`` bytes for an estimate of ``estimated`` bytes."""
        if estimated > 0 and available > 0:
            entry = self._find_kind(kind)
            entry.floor = min(MOST, max(entry.floor, 1.02 * available / estimated))

    def learn_context(self, kind: str, context_bytes: int, slack: float | None = None) -> None:
        """Learn what a process uses besides its tensors."""
        if context_bytes > 0:
            self._find_kind(kind).context_bytes = context_bytes
        if slack is not None and 0 <= slack < 1:
            self._find_kind(kind).slack = slack

    def _find_kind(self, kind: str) -> Correction:
        while len(self._kinds) >= KINDS and kind not in self._kinds:
            del self._kinds[next(iter(self._kinds))]
        return self._kinds.setdefault(kind, Correction())

    def save(self) -> None:
        """Write the file atomically. On a full disk only the corrections are lost."""
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            with open(aside, "wb", opener=paths.open_without_link) as out:
                out.write(msgspec.json.encode(self._kinds))
            aside.rename(self._file)
