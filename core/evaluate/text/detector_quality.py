"""How often a detector is right, counted on labelled texts that none of its rules were written for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class DetectorQuality:
    """The counts of a detector's verdicts against the labels."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @classmethod
    def of(cls, verdicts: Iterable[tuple[bool, bool]]) -> DetectorQuality:
        """Count pairs of what was found and what is true."""
        pairs = [(bool(found), bool(true)) for found, true in verdicts]
        return cls(
            *(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
        )

    @property
    def precision(self) -> float | None:
        """The share of what was found that is true; None if nothing was found."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else None

    @property
    def recall(self) -> float | None:
        """The share of what is true that was found; None if nothing is true."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else None
