"""Finds rows that contain text of given files, such as the benchmark that the model is evaluated on.

A row is contaminated if it shares a sequence of 12 words with a row of the file (OLMo, GPT-3 and others use
8 to 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np

from core import paths
from core.data.checks.check_finding import Finding, Severity
from core.data.checks.row_tally import TallyCheck, make_tally_finding
from core.data.readers import local_file_reader
from core.data.readers.row_values import list_texts
from core.data.stream.hash_filter import HashFilter
from core.data.stream.row_batches import RowBatch
from core.data.stream.word_hashes import Hashes, hash_grams, hash_words

NAME = "rows that contain evaluation data"
WORDS = 12
READ = 1000  # rows of a file that are hashed at once
REMEDY = "drop these rows, or do not report results on that data: `trimtab clean --against FILE` drops them"


class Packed(msgspec.Struct):
    """Known texts as another process takes them: the files' names, the texts that are too short, and the
    hashes of all sequences as bytes."""

    names: tuple[str, ...]
    short: int
    hashes: bytes


class KnownTexts:
    """The sequences of 12 words in the rows of some files."""

    def __init__(self, files: Iterable[str], key: str, tell: Callable[[str], None] = lambda _: None) -> None:
        """Read the files. Raises TrimtabError that names ``key`` for one that cannot be read."""
        names, short = tuple(files), 0
        parts = [np.empty(0, np.uint64)]
        for name in names:
            tell(f"reading {Path(name).name}")
            batch = list[str]()
            for row in local_file_reader.read_rows(paths.expand_home(name), key):
                batch += [text for text in list_texts(list(row.values())) if text.strip()]
                if len(batch) >= READ:
                    short += _add(batch, parts)
                    batch = []
            short += _add(batch, parts)
        self._keep(names, short, np.concatenate(parts))

    @classmethod
    def unpack(cls, packed: Packed) -> KnownTexts:
        """Return the known texts that were packed."""
        texts = cls((), "")
        texts._keep(packed.names, packed.short, np.frombuffer(packed.hashes, np.uint64))
        return texts

    def pack(self) -> Packed:
        """Return the known texts for another process."""
        return Packed(self.names, self.short, self._filter.known.tobytes())

    def _keep(self, names: tuple[str, ...], short: int, hashes: Hashes) -> None:
        self.names, self.short = names, short
        self._filter = HashFilter(hashes)

    def match(self, batch: RowBatch) -> dict[int, int]:
        """Return, by the index of a row, the index of its first text that shares a sequence."""
        grams = hash_grams(batch.words, WORDS)
        hits = grams.text[self._filter.find(grams.hashes)].tolist()
        return {int(batch.row_of[text]): text for text in sorted(hits, reverse=True)}


def _add(batch: list[str], parts: list[Hashes]) -> int:
    """Add the hashes of the sequences of some texts to ``parts``; return how many texts are too short."""
    words = hash_words(batch)
    parts.append(np.unique(hash_grams(words, WORDS).hashes))
    return int((np.bincount(words.text, minlength=len(batch)) < WORDS).sum())


class ContaminatedRows(TallyCheck):
    """Counts rows that contain known texts."""

    def __init__(self, known: KnownTexts) -> None:
        super().__init__()
        self._known = known

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._tally.rows += len(batch.rows)
        for at, text in sorted(self._known.match(batch).items()):
            self._tally.hit(batch.rows[at].number, batch.texts[text].strip)

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""
        names = ", ".join(Path(name).name for name in self._known.names)
        short = (
            f"; {self._known.short:,} of its texts are shorter and not compared" if self._known.short else ""
        )
        detail = f"{WORDS} words in a row, compared with {names}{short}"
        return make_tally_finding(NAME, self._tally, Severity.HIGH, REMEDY, detail)
