"""Finds rows whose answer refuses the request."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.readers.row_texts import RowTexts
from core.evaluate.text.answer_judge import AnswerJudge, load_planted_answers
from core.evaluate.text.detector_quality import DetectorQuality, measure_quality
from core.evaluate.text.refusal_classifier import LANGUAGES, Stance, classify_answer

NAME = "answers that refuse"
REFUSES = (Stance.REFUSAL, Stance.PARTIAL)
SOME, MANY = (
    0.02,
    0.2,
)  # shares of refusals, from which on a model learns to refuse more, and mostly to refuse
REMEDY = (
    "keep the refusals of harmful requests, drop the others; follow safety/refusal and safety/over_refusal"
)


def find_refusing(rows: Iterable[RowTexts]) -> Finding:
    """Count the rows with an answer that refuses. Rows of plain text are not counted."""
    hits, count = list[Example](), 0
    for row in rows:
        count += bool(row.answers)
        refusal = next((answer for answer in row.answers if classify_answer(answer) in REFUSES), None)
        if refusal is not None:
            hits.append(Example(row.number, excerpt_masked(refusal) if len(hits) < EXAMPLES else ""))
    finding = make_finding(NAME, hits, count, Severity.LOW, REMEDY, measure_refusal_quality())
    share = finding.share.value or 0.0  # corrected: the detector takes some ordinary answers for refusals
    severity = Severity.HIGH if share >= MANY else Severity.MEDIUM if share >= SOME else Severity.LOW
    return make_finding(NAME, hits, count, severity, REMEDY, measure_refusal_quality())


@cache
def measure_refusal_quality() -> DetectorQuality:
    """Return the errors of the classifier on the packaged answers, in all languages."""
    planted = [(row["text"], row["stance"] in REFUSES) for row in load_planted_answers()]
    name, languages = AnswerJudge.name, f"{len(LANGUAGES)} languages"
    return measure_quality(lambda text: classify_answer(text) in REFUSES, planted, name, languages)
