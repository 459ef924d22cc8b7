"""What console and engine say to each other about a study's rows: what the checks found, and rows as they are
trained on."""

from __future__ import annotations

from typing import Annotated

import msgspec

from core.contract import input_size_limits
from core.contract.input_size_limits import Name, Step

MIXTURE = "data.mixture"  # the key of what is found in all sources of a mixture together
CONTEXT, LEARNT, CUT = range(3)  # kinds of a piece of a row
LARGEST_LINE_BYTES = 8 << 20  # of a message from the processes that read rows
RowNumber = Annotated[int, msgspec.Meta(ge=1, le=input_size_limits.MOST_ROWS)]


class AskDataReview(msgspec.Struct, frozen=True, tag="ask-data-review"):
    """Ask what the checks find in the rows of a study. The reply's answer is a DataReview: once it is newer
    than ``known``, or after some seconds. ``again`` checks the rows anew, even if the files are the same;
    ``only_known`` begins no check, as for a console that only reads."""

    study: Name
    known: Step = 0
    again: bool = False
    only_known: bool = False


class AskDataRow(msgspec.Struct, frozen=True, tag="ask-data-row"):
    """Ask for a row of a source, such as "data.source", as it is trained on; rows count from 1. The reply's
    answer is a DataRow."""

    study: Name
    source: Name
    row: RowNumber = 1


class RowExample(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a row, with personal data masked."""

    row: int
    text: str


class LengthBin(msgspec.Struct, frozen=True, array_like=True):
    """Rows with at most ``tokens`` tokens, estimated, and more than those of the bin before."""

    tokens: int
    rows: int


class DataFinding(msgspec.Struct, frozen=True):
    """What a check found: in ``hits`` of ``rows`` rows. ``severity`` is high, medium, low or none.

    ``low`` and ``high`` bound the true share of a finding whose ``detector`` errs. ``blocks`` is the entry of
    data.allow without which no study starts on these rows, and ``allowed`` says that it has it.
    """

    name: str
    hits: int
    rows: int
    severity: str
    detail: str = ""
    remedy: str = ""
    examples: tuple[RowExample, ...] = ()
    detector: str = ""
    low: float | None = None
    high: float | None = None
    blocks: str = ""
    allowed: bool = False

    @property
    def is_blocking(self) -> bool:
        """Whether no study starts on these rows."""
        return bool(self.blocks) and not self.allowed


class DataSource(msgspec.Struct, frozen=True):
    """How a source is read, and the findings in it. ``key`` is its place in the study file; ``why_not`` says
    why it was not checked.

    ``kind`` is chat, instruction or text; ``used`` and ``unused`` are its columns. ``rows`` have text, and
    ``sampled`` of them were looked at by slow checks; ``tokens`` are estimated.
    """

    key: str
    name: str
    files: int = 0
    size_bytes: int = 0
    kind: str = ""
    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    why_not: str = ""
    rows: int = 0
    sampled: int = 0
    tokens: int = 0
    lengths: tuple[LengthBin, ...] = ()
    findings: tuple[DataFinding, ...] = ()


class DataReview(msgspec.Struct, frozen=True, tag="data-review"):
    """The findings in all sources of a study; until ``is_done``, ``stage`` says what is being done.

    ``version`` counts the changes. ``sequence_length`` is the longest of any trial: longer rows are cut.
    ``checked_at`` is in Unix seconds; ``why_none`` says why there is no review.
    """

    version: int = 0
    is_done: bool = False
    stage: str = ""
    sources: tuple[DataSource, ...] = ()
    notes: tuple[str, ...] = ()
    sequence_length: int = 0
    checked_at: float = 0.0
    took_s: float = 0.0
    why_none: str = ""


class RowPiece(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive tokens of a row: only read (CONTEXT), trained on (LEARNT), or behind the sequence length
    (CUT)."""

    text: str
    kind: int


class DataRow(msgspec.Struct, frozen=True, tag="data-row"):
    """A row as it is trained on: ``tokens`` are kept of it, and ``targets`` of them are learnt; ``is_cut``
    where it has more. ``why_none`` says why there is no such row, or why training skips it.

    ``of`` is the number of rows in the source, 0 while that is unknown. ``is_shortened``: not all text of
    these tokens is in the ``pieces``.
    """

    source: str
    row: int
    of: int = 0
    pieces: tuple[RowPiece, ...] = ()
    tokens: int = 0
    targets: int = 0
    is_cut: bool = False
    is_shortened: bool = False
    notes: tuple[str, ...] = ()
    why_none: str = ""
