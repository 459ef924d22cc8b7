"""Measures how often a detector is right on texts whose label is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.contract.metric_score import Score
from core.evaluate.statistics import detector_correction


@dataclass(frozen=True)
class DetectorQuality:
    """Error rates of a detector on planted texts. A rate is None where its denominator is 0."""

    name: str
    language: str
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    recall: float | None
    positives: int
    negatives: int

    def __str__(self) -> str:
        """Return one line for a note or a report card."""
        rates = f"P {_format_rate(self.precision)} R {_format_rate(self.recall)}"
        return f"{self.name} ({self.language}); {rates} on {self.positives + self.negatives} planted texts"


def measure_quality(
    detect: Callable[[str], bool],
    planted: Iterable[tuple[str, bool]],
    name: str = "detector",
    language: str = "all",
) -> DetectorQuality:
    """Compare ``detect`` with the labels of ``planted``."""
    outcomes = [(detect(text), label) for text, label in planted]
    positives = sum(label for _, label in outcomes)
    negatives = len(outcomes) - positives
    hits = sum(is_hit and label for is_hit, label in outcomes)
    alarms = sum(is_hit for is_hit, _ in outcomes) - hits
    recall = _share(hits, positives)
    return DetectorQuality(
        name=name,
        language=language,
        sensitivity=recall,
        specificity=_share(negatives - alarms, negatives),
        precision=_share(hits, hits + alarms),
        recall=recall,
        positives=positives,
        negatives=negatives,
    )


def _share(part: int, total: int) -> float | None:
    return part / total if total else None


def _format_rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.2f}"


def correct_change(score: Score, detector: DetectorQuality) -> Score:
    """Return a change of a rate that ``detector`` counted, corrected for its errors on planted texts."""
    sensitivity, specificity = detector.sensitivity, detector.specificity
    if score.value is None or sensitivity is None or specificity is None:
        return score
    counts = detector.positives, detector.negatives
    return detector_correction.corrected_change(score, sensitivity, specificity, *counts)


def correct_rate(score: Score, detector: DetectorQuality) -> Score:
    """Return a rate that ``detector`` counted, corrected for its errors on planted texts, which are noted."""
    sensitivity, specificity = detector.sensitivity, detector.specificity
    if score.value is None or sensitivity is None or specificity is None:
        return score
    counts = detector.positives, detector.negatives
    return detector_correction.correct_score(score, sensitivity, specificity, *counts).add_note(str(detector))
