"""``python -P -m core.train.commands.mark_learnt_tokens STUDY``: answers the engine which tokens of a row
are learnt.

It reads requests (AskDataRow) as lines of JSON from standard input, writes a DataRow as a line for each, and
ends when standard input is closed. Rows are read from the source as training reads them, before any is left
out, so that they have the numbers by which the findings of a check name them.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.spec_file import load
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.data_messages import CONTEXT, CUT, LEARNT, AskDataRow, DataRow, RowPiece
from core.data.mixture.row_filter import keep_rows
from core.data.readers.row_shape import Canonical
from core.data.readers.row_values import UnusableRow
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import find_sources
from core.errors import TrimtabError, join_in_line
from core.train.commands.show_rows import load_tokenizer
from core.train.data import row_loader
from core.train.data.row_format import RowFormat
from core.train.data.target_token_encoder import Encoder
from core.train.quiet_libraries import set_environment, silence_transformers

KEPT = 500  # rows before the latest one, for going back
BEHIND = 256  # tokens shown of what is cut
LONGEST = 20_000  # characters of a row
HELD = "validation"


class SourceRows:
    """The rows of one source by their number, from 1; reading on is fast, and so is going back a little."""

    def __init__(self, spec: StudySpec, key: str) -> None:
        """Raises TrimtabError for a source that cannot be read, or an unknown key."""
        self._open = _find_opener(spec.data, key)
        self._rows: Iterator[Canonical] = iter(())
        self._latest = deque[Canonical](maxlen=KEPT)
        self.read, self.total = 0, 0
        self._restart()

    def get(self, number: int) -> Canonical | None:
        """Return the row; None behind the last. Raises TrimtabError for a file that cannot be read."""
        if number <= self.read - len(self._latest):
            self._restart()
        for row in itertools.islice(self._rows, max(0, number - self.read)):
            self._latest.append(row)
            self.read += 1
        if number > self.read:
            self.total = self.read
            return None
        return self._latest[number - self.read - 1]

    def _restart(self) -> None:
        self._rows = iter(self._open())
        self._latest.clear()
        self.read = 0


def _find_opener(data: DataOptions, key: str) -> Any:
    """Return what reads the rows of the source from the start. Raises TrimtabError."""
    for prefix, section in data.checked.items():
        for source in find_sources(section, prefix):
            if source.key == key:
                split = section.split if not key.endswith(HELD) else str(section.validation)
                opened = row_loader.open_source(section, source, split, _say_nothing)
                matching = keep_rows(opened, section.where)
                return lambda: ShapedRows(matching(), section, f"{key} = {source.name!r}")
    raise TrimtabError.of(f"the study has no source {sanitize(key, 80)!r}", "rows", "give one of its sources")


def _say_nothing(stage: str, done: int, total: int, unit: str) -> None:
    """Report no progress: the engine says that it waits."""


class RowMarker:
    """Answers which tokens of a row are learnt."""

    def __init__(self, spec: StudySpec) -> None:
        """Load the tokenizer. Raises TrimtabError."""
        self._spec, self._most = spec, find_longest_sequence(spec)
        self._tokenizer = load_tokenizer(spec)
        self._encoder = Encoder(self._tokenizer)
        self._sources: dict[str, SourceRows] = {}

    def answer(self, request: AskDataRow) -> DataRow:
        """Return the row, or why there is none."""
        try:
            source = self._sources.get(request.source)
            if source is None:
                source = self._sources[request.source] = SourceRows(self._spec, request.source)
            row = source.get(request.row)
            data_row = DataRow(request.source, request.row, source.total)
            if row is None:
                why = f"the source has {source.total:,} rows"
                return msgspec.structs.replace(data_row, why_none=why)
            return self._mark(data_row, row)
        except TrimtabError as error:
            self._sources.pop(request.source, None)
            return DataRow(request.source, request.row, why_none=join_in_line(error))

    def _mark(self, data_row: DataRow, row: Canonical) -> DataRow:
        form = RowFormat(self._spec, self._tokenizer, list(row))
        try:
            text = form.read(row)
            encoded = next(iter(self._encoder.encode([text], self._most + BEHIND)))
        except UnusableRow as error:
            return msgspec.structs.replace(data_row, why_none=f"training skips this row: {error}")
        if encoded.faults:
            return msgspec.structs.replace(data_row, why_none=f"training skips this row: {encoded.faults[0]}")
        ids, targets = _add_bos(encoded.ids, encoded.targets, form)
        kinds = np.where(targets, LEARNT, CONTEXT)
        kinds[self._most :] = CUT
        learnt = int(targets[1 : self._most].sum())
        pieces, is_shortened = self._decode(ids, kinds)
        notes = [f"{sanitize(reason, 200)}" for reason in (*text.missed, *text.remarks)]
        why = "" if learnt else f"training skips this row: no target token within the first {self._most}"
        return msgspec.structs.replace(
            data_row, pieces=pieces, tokens=min(len(ids), self._most), targets=learnt,
            is_cut=bool(encoded.is_cut[0]) or len(ids) > self._most, is_shortened=is_shortened,
            notes=tuple(notes), why_none=why,
        )  # fmt: skip

    def _decode(self, ids: Any, kinds: Any) -> tuple[tuple[RowPiece, ...], bool]:
        """Return the text of consecutive tokens of a kind, and whether it is not all."""
        pieces, pieces_left = list[RowPiece](), LONGEST
        for kind, group in itertools.groupby(zip(ids.tolist(), kinds.tolist(), strict=True), lambda p: p[1]):
            text = self._tokenizer.decode([token for token, _ in group], clean_up_tokenization_spaces=False)
            pieces.append(RowPiece(sanitize(text[:pieces_left], lines=True), kind))
            pieces_left -= len(text)
            if pieces_left < 0:
                return tuple(pieces), True
        return tuple(pieces), False


def _add_bos(ids: Any, targets: Any, form: RowFormat) -> tuple[Any, Any]:
    """Add the token that a tokenizer puts before plain text, as ``row_tokenizer`` does."""
    first = form.tokenizer.bos_token_id if form.adds_special else None
    if first is None or ids[:1].tolist() == [first]:
        return ids, targets
    return np.concatenate(([first], ids)), np.concatenate(([False], targets))


def main(argv: list[str]) -> int:
    """Answer requests until standard input is closed. Returns the exit code."""
    set_environment()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    silence_transformers()
    marker, why = None, ""
    try:
        marker = RowMarker(load(Path(argv[0])))
    except TrimtabError as error:
        why = join_in_line(error)
    for line in sys.stdin.buffer:
        request = msgspec.json.decode(line, type=AskDataRow)
        answer = marker.answer(request) if marker else DataRow(request.source, request.row, why_none=why)
        output.write(msgspec.json.encode(answer) + b"\n")
        output.flush()
        if marker is None:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
