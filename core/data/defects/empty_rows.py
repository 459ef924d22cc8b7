"""Finds rows without text, and answers without text."""

from __future__ import annotations

from core.data.checks.check_finding import Finding
from core.data.checks.row_tally import TallyCheck, grade, make_tally_finding
from core.data.stream.row_batches import RowBatch

NAME = "empty rows and answers"
SOME, MANY = 0.01, 0.05
REMEDY = "drop these rows: `trimtab clean` does; training skips them"


class EmptyRows(TallyCheck):
    """Counts rows in which every text is blank, and those with a blank answer."""

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._tally.rows += len(batch.rows)
        blank = set(batch.row_of[batch.is_answer & ~batch.is_filled].tolist())
        for at, row in enumerate(batch.rows):
            if row.is_empty:
                self._tally.hit(row.number, lambda: "(no text)", "no text")
            elif at in blank and row.texts is not None:
                self._tally.hit(row.number, "".join(row.texts.context).strip, "empty answer")

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""
        return make_tally_finding(NAME, self._tally, grade(self._tally.share, SOME, MANY), REMEDY)
