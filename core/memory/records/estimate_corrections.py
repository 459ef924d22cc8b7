"""What measured memory taught about foretold memory: one factor for each kind of device and base. Kept."""

from __future__ import annotations

import contextlib
import os
import statistics
from pathlib import Path

import msgspec

from core import paths

KEPT = 32  # the newest comparisons of a kind
LEAST, MOST = 0.5, 3.0  # a factor outside is a fault of the measure, not of the foresight
KINDS = 200  # in one file


class Kind(msgspec.Struct):
    """``ratios``: measured over foretold, newest last. ``floor``: the factor below which memory once ended.
    ``context_bytes``: what the process took besides its tensors."""

    ratios: list[float] = []
    floor: float = 0.0
    context_bytes: int | None = None
    slack: float | None = None  # what the allocator kept and did not use, as a part of the peak

    @property
    def factor(self) -> float:
        """What foretold activations are multiplied with."""
        middle = statistics.median(self.ratios) if self.ratios else 1.0
        return max(middle, self.floor)


class Ledger:
    """All kinds, in one file; one that cannot be read is as if there were none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._kinds: dict[str, Kind] = {}
        if file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                with open(file, "rb", opener=paths.no_link) as source:
                    self._kinds = msgspec.json.decode(source.read(), type=dict[str, Kind])

    def of(self, kind: str) -> Kind:
        """What is known of ``kind``."""
        return self._kinds.get(kind, Kind())

    def compared(self, kind: str, foretold: float, measured: float) -> None:
        """Learn from one measurement, bytes of activations and all that comes and goes with a step."""
        if foretold <= 0 or measured <= 0:
            return
        one = self._kind(kind)
        one.ratios = [*one.ratios[-KEPT + 1 :], min(MOST, max(LEAST, measured / foretold))]

    def ended(self, kind: str, foretold: float, available: float) -> None:
        """Memory ended where ``available`` bytes were there for what was foretold to take ``foretold``."""
        if foretold > 0 and available > 0:
            one = self._kind(kind)
            one.floor = min(MOST, max(one.floor, 1.02 * available / foretold))

    def context(self, kind: str, context_bytes: int, slack: float | None = None) -> None:
        """Learn what a process takes besides its tensors."""
        if context_bytes > 0:
            self._kind(kind).context_bytes = context_bytes
        if slack is not None and 0 <= slack < 1:
            self._kind(kind).slack = slack

    def _kind(self, kind: str) -> Kind:
        while len(self._kinds) >= KINDS and kind not in self._kinds:
            del self._kinds[next(iter(self._kinds))]
        return self._kinds.setdefault(kind, Kind())

    def keep(self) -> None:
        """Write the file, aside and in one piece. A full disk costs what was learnt, nothing else."""
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            with open(aside, "wb", opener=paths.no_link) as out:
                out.write(msgspec.json.encode(self._kinds))
            aside.rename(self._file)
