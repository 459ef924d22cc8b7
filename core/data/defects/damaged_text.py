"""Finds text whose encoding was read wrongly: "cafÃ©" instead of "café", or replacement characters."""

from __future__ import annotations

import re

from core.data.checks.check_finding import Finding
from core.data.checks.row_tally import TallyCheck, grade, make_tally_finding
from core.data.stream.row_batches import RowBatch

NAME = "damaged encoding"
SOME, MANY = 0.001, 0.02
REMEDY = (
    "`trimtab clean` repairs what can be repaired; � means that characters are lost: read the source again"
)
LOST, WRONG = "characters are lost (�)", "read in the wrong encoding"
# a lead byte of UTF-8 read as Latin-1 or Windows-1252, and a byte that continues it
SUSPECT = re.compile(
    r"[\u00c2-\u00f4][\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    r"\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]"
    r"|(?:[\u0420\u0421][\u0400-\u045f\u2018-\u203a\u00a0-\u00bb]){3}|\ufffd"  # Cyrillic, by Windows-1251
)


class DamagedText(TallyCheck):
    """Counts rows with such text; ``ftfy`` decides on texts that a quick test suspects."""

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._tally.rows += len(batch.rows)
        if batch.joined.isascii() or not SUSPECT.search(batch.joined):
            return
        for row in batch.rows:
            for text in row.texts.all if row.texts is not None else ():
                if damage := find_damage(text):
                    self._tally.hit(row.number, text.strip, damage, around=SUSPECT)
                    break

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""
        return make_tally_finding(NAME, self._tally, grade(self._tally.share, SOME, MANY), REMEDY)


def find_damage(text: str) -> str:
    """Return what is wrong with the encoding of a text; "" if nothing is."""
    if text.isascii() or not SUSPECT.search(text):
        return ""
    if "\ufffd" in text:
        return LOST
    return WRONG if repair(text) != text else ""


def repair(text: str) -> str:
    """Return the text as it was before it was read in the wrong encoding."""
    import ftfy  # loads tables of a tenth of a second

    return ftfy.fix_encoding(text)
