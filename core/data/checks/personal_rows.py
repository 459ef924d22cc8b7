"""Finds rows with personal data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt, mask_all
from core.data.readers.row_texts import RowTexts
from core.evaluate.text.pii_detector import KINDS, SURE, find_pii, measure_pii_quality

NAME = "personal data"
GRAVE = {"iban", "card", "ssn", "national_id", "secret"}  # harm by themselves once a model repeats them
REMEDY = "replace each piece by a placeholder such as [email], or drop the row; the model may repeat them"


def find_personal(rows: Iterable[RowTexts]) -> Finding:
    """Count the rows with PII in any text. Examples are masked."""
    hits, kinds, count = list[Example](), Counter[str](), 0
    for row in rows:
        count += 1
        kinds_by_text = {text: kinds_there for text in row.all if (kinds_there := _find_kinds(text))}
        if kinds_by_text:
            kinds.update({kind for text in kinds_by_text for kind in kinds_by_text[text]})
            hits.append(Example(row.number, _show(next(iter(kinds_by_text))) if len(hits) < EXAMPLES else ""))
    severity = Severity.HIGH if GRAVE & set(kinds) else Severity.MEDIUM
    detail = ", ".join(f"{KINDS[kind]} in {number}" for kind, number in kinds.most_common())
    return make_finding(NAME, hits, count, severity, REMEDY, measure_pii_quality(SURE), detail)


def _find_kinds(text: str) -> set[str]:
    return {match.kind for match in find_pii(text)}


def _show(text: str) -> str:
    """Return the surroundings of the first piece, masked."""
    masked, places = mask_all(text)
    first = next(at for at, match in enumerate(find_pii(text, KINDS)) if match.kind in SURE)
    return excerpt(masked, places[first])
