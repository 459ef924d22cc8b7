"""What a check found in the rows of a data set, and the number of rows that it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import share_interval
from core.evaluate.text.detector_quality import DetectorQuality, correct_rate

EXAMPLES = 3  # shown of each finding


class Severity(StrEnum):
    """How much a finding matters."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


@dataclass(frozen=True)
class Example:
    """A piece of a row, shortened, with personal data masked."""

    row: int
    text: str


@dataclass(frozen=True)
class Lengths:
    """The distribution of row lengths: all ``characters``, and ``bins`` of the tokens, estimated, that a row
    has at most, and the number of such rows."""

    characters: int
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Finding:
    """``share`` is that of ``hits``, as counted; ``corrected`` allows for the errors of the detector."""

    name: str
    hits: int
    rows: int
    severity: Severity
    share: Score
    remedy: str = ""
    detail: str = ""
    examples: tuple[Example, ...] = ()
    detector: str = ""
    corrected: Score | None = None
    blocks: str = ""  # the entry of data.allow without which no study starts on these rows; "" for a warning
    lengths: Lengths | None = None  # of all rows, in the finding that judges them


def count_share(hits: int, rows: int, detector: DetectorQuality | None = None) -> tuple[Score, Score | None]:
    """Return the share of ``hits`` with its interval, and the one corrected for the errors of
    ``detector``."""
    if not rows:
        return Score.without_value("no rows were read"), None
    share = Score(hits / rows, *share_interval(hits, rows), rows, binomial=True)
    return share, None if detector is None else correct_rate(share, detector)


def make_finding(
    name: str,
    hits: Sequence[Example],
    rows: int,
    severity: Severity,
    remedy: str,
    detector: DetectorQuality | None = None,
    detail: str = "",
) -> Finding:
    """Return the finding of a check with its ``hits``, one for each row; without hits the severity is
    NONE."""
    share, corrected = count_share(len(hits), rows, detector)
    if not hits:
        severity, remedy, detail = Severity.NONE, "", ""
    quality = "" if detector is None else str(detector)
    examples = tuple(hits[:EXAMPLES])
    return Finding(name, len(hits), rows, severity, share, remedy, detail, examples, quality, corrected)
