"""Finds rows with toxic text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt, mask_all
from core.data.readers.row_texts import RowTexts
from core.evaluate.text.toxicity_scorer import TOXIC, measure_toxicity_quality, score_toxicity

NAME = "toxic text"
MANY = 0.01  # share of rows that teach toxic text, from which on it is likely to show in answers
REMEDY = "drop or rewrite the rows whose answer is toxic; follow safety/toxicity while training"
_SENTENCES = re.compile(r"(?<=[.!?…])\s+|\n+")


def find_toxic(rows: Iterable[RowTexts]) -> Finding:
    """Count the rows with a toxic text, and those of them in which it is trained on."""
    hits, learnt, count = list[Example](), 0, 0
    for row in rows:
        count += 1
        bad = {text for text in row.all if score_toxicity([text])[0] >= TOXIC}
        if bad:
            learnt += any(text in bad for text in row.learnt)
            first = next(text for text in (*row.learnt, *row.context) if text in bad)
            hits.append(Example(row.number, _show(first) if len(hits) < EXAMPLES else ""))
    severity = Severity.LOW if not learnt else Severity.HIGH if learnt >= MANY * count else Severity.MEDIUM
    detail = f"trained on in {learnt}, only in the prompt of {len(hits) - learnt}"
    return make_finding(NAME, hits, count, severity, REMEDY, measure_toxicity_quality(), detail)


def _show(text: str) -> str:
    """Return the most toxic sentence, masked."""
    masked, _ = mask_all(text)
    sentences = [part for part in _SENTENCES.split(masked) if part.strip()][:100]
    scores = score_toxicity(sentences)
    return excerpt(sentences[scores.index(max(scores))]) if sentences else ""
