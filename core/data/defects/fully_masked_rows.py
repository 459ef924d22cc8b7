"""Finds rows in which nothing is trained on: the loss masks the whole row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from core.data.checks.check_finding import Finding
from core.data.checks.row_tally import TallyCheck, grade, make_tally_finding
from core.data.stream.row_batches import ReadRow, RowBatch

NAME = "rows that train nothing"
SOME, MOST = 0.01, 0.05  # more than MOST keeps a study from starting
BLOCKS = "masked"
REMEDY = "check the roles, `weight`, and the column names in [data]; drop what has no answer"


class MaskedRows(TallyCheck):
    """Counts rows without learnt text."""

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._tally.rows += len(batch.rows)
        for row in list_masked(batch):
            assert row.texts is not None
            self._tally.hit(row.number, " ".join(row.texts.context).strip)

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""
        share = self._tally.share
        blocks = BLOCKS if self._tally.exceeds(MOST) else ""
        return make_tally_finding(NAME, self._tally, grade(share, SOME, MOST), REMEDY, blocks=blocks)


def list_masked(batch: RowBatch) -> Iterator[ReadRow]:
    """Yield the rows of which nothing is trained on; one that training skips for another reason is not
    meant."""
    return (row for row in itertools.compress(batch.rows, batch.trains_nothing) if row.texts is not None)
