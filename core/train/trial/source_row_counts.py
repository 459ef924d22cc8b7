"""How many rows and tokens of each source of a mixture a trial has trained on."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.spec.metric_table import ROW_SHARE, TOKEN_SHARE, WANTED_SHARE
from core.data.mixture.mixture_shares import Mixture
from core.train.data.dataset import Row
from core.train.data.mixture_rows import find_source


class SourceBalance:
    """Counts what was trained; ``counts`` are rows and tokens by source, canaries left out."""

    def __init__(self, mixture: Mixture | None) -> None:
        names = [size.name for size in mixture.sizes] if mixture is not None else []
        self.counts: dict[str, tuple[int, int]] = dict.fromkeys(names, (0, 0))

    def add(self, micro_batches: Sequence[Sequence[Row]]) -> None:
        """Count the rows of a step."""
        for row in (row for rows in micro_batches for row in rows) if self.counts else ():
            source_count = self.counts.get(find_source(row))
            if source_count is not None:
                self.counts[find_source(row)] = source_count[0] + 1, source_count[1] + len(row.ids)

    def metrics(self, wanted: Sequence[float]) -> dict[str, float]:
        """Return each source's shares of all rows and tokens so far, and the ``wanted`` ones of the rows."""
        values = {f"{WANTED_SHARE}{name}": share for name, share in zip(self.counts, wanted, strict=True)}
        for prefix, amounts in zip(
            (ROW_SHARE, TOKEN_SHARE), zip(*self.counts.values(), strict=True), strict=False
        ):
            total = sum(amounts)
            shares = zip(self.counts, amounts, strict=True)
            values |= {f"{prefix}{name}": amount / total for name, amount in shares if total}
        return values
