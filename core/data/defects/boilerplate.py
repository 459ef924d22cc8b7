"""Finds openings and endings that many answers share, such as "As an AI language model"."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.masked_excerpt import excerpt_end, excerpt_masked
from core.data.checks.row_tally import Tally, grade, make_tally_finding
from core.data.stream.row_batches import RowBatch
from core.data.stream.word_hashes import Hashes, Indices, mix

NAME = "boilerplate in answers"
WORDS = 5  # of an opening or an ending
FEWEST = 20  # answers that share one
COMMON, MANY = 0.05, 0.3  # shares of all answers
KEPT = 1_000  # openings and endings whose text is kept: what is common is among the first
KEPT_CHARACTERS = 400  # far more than is shown: what is cut through is not shown
REMEDY = "remove the phrase from the answers unless every answer is meant to have it: it is learnt first"


class Boilerplate:
    """Keeps a hash of each answer's opening and ending, 16 bytes."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._ends = bytearray(), bytearray()  # the hashes of openings and endings
        self._shown: dict[int, tuple[int, str]] = {}  # the row and its opening or ending

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        answers = np.flatnonzero(batch.is_answer)
        begins = np.searchsorted(batch.words.text, answers)
        ends = np.searchsorted(batch.words.text, answers, side="right")
        long = ends - begins >= WORDS
        self._tally.rows += len(answers)
        starts = begins[long], ends[long] - WORDS
        for place, hashes in enumerate(_list_runs(batch.words.hashes, start) for start in starts):
            self._ends[place].extend(hashes.tobytes())
            if len(self._shown) < KEPT:
                self._show(batch, answers[long], hashes, is_ending=bool(place))

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has."""
        return self._tally.pack(), [bytes(end) for end in self._ends], self._shown

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow, of which the first is row ``first`` + 1."""
        tally, ends, examples = packed
        self._tally.merge(tally, first)
        for own, later in zip(self._ends, ends, strict=True):
            own += later
        for key, (row, text) in examples.items():
            if len(self._shown) >= KEPT:
                break
            self._shown.setdefault(key, (row + first, text))

    def make_finding(self) -> Finding:
        """Return the phrases that many answers share."""
        phrases = []
        for name, end in zip(("begin", "end"), self._ends, strict=True):
            hashes, counts = np.unique(np.frombuffer(end, np.uint64), return_counts=True)
            enough = counts >= max(FEWEST, COMMON * self._tally.rows)
            phrases += [
                (int(count), int(key), name)
                for key, count in zip(hashes[enough], counts[enough], strict=True)
            ]
        phrases.sort(reverse=True)
        self._tally.hits = max((count for count, _, _ in phrases), default=0)
        for _, key, name in phrases[:EXAMPLES]:
            row, text = self._shown.get(key, (0, ""))
            excerpt = excerpt_end(text) if name == "end" else excerpt_masked(text)
            self._tally.examples += [Example(row, excerpt)] if row else []
        detail = ", ".join(f"{count:,} {name} alike" for count, _, name in phrases[:3])
        return make_tally_finding(NAME, self._tally, grade(self._tally.share, COMMON, MANY), REMEDY, detail)

    def _show(self, batch: RowBatch, answers: Indices, hashes: Hashes, is_ending: bool) -> None:
        for text, key in zip(answers.tolist(), hashes.tolist(), strict=True):
            if key not in self._shown:
                words = batch.texts[text].strip()
                part = words[-KEPT_CHARACTERS:] if is_ending else words[:KEPT_CHARACTERS]
                self._shown[key] = batch.rows[batch.row_of[text]].number, part


def _list_runs(hashes: Hashes, starts: Indices) -> Hashes:
    """Hash the WORDS words from each start on."""
    total = np.zeros(len(starts), np.uint64)
    for place in range(WORDS):
        total = mix(total + hashes[starts + place])
    return total
