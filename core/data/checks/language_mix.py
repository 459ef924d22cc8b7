"""Finds rows in another language than most, by py3langid (Lui & Baldwin 2012), if it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from core.contract.metric_score import Score
from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.readers.row_texts import RowTexts

NAME = "languages"
READ, FEWEST = 1_000, 120  # characters of a row: shorter texts are often taken for another language
SHOWN = 5
COMMON = 0.02  # share of a language that is not taken for an error of the detector
REMEDY = "nothing to do if this mix is wanted; else drop the rows, or give each language a `source` column"
MISSING = "not looked for: pip install 'trimtab[languages]'"


def find_languages(rows: Iterable[RowTexts]) -> Finding:
    """Count the rows whose learnt text is in another language than that of most rows; a language with less
    than COMMON of the rows is not counted."""
    if importlib.util.find_spec("py3langid") is None:
        return Finding(NAME, 0, 0, Severity.NONE, Score.without_value(MISSING), detail=MISSING)
    classify = importlib.import_module("py3langid").classify
    languages = list[tuple[str, Example, str]]()
    for row in rows:
        text = " ".join(row.learnt)[:READ]
        if len(text) >= FEWEST:
            languages.append((str(classify(text)[0]), Example(row.number, ""), text))
    counts = Counter(language for language, _, _ in languages)
    common = [language for language, count in counts.most_common() if count >= COMMON * len(languages)]
    hits = [(example, text) for language, example, text in languages if language in common[1:]]
    masked = [Example(example.row, excerpt_masked(text)) for example, text in hits[:EXAMPLES]]
    detail = ", ".join(
        f"{language} {100 * counts[language] / len(languages):.3g} %" for language in common[:SHOWN]
    )
    examples = [*masked, *(example for example, _ in hits[EXAMPLES:])]
    finding = make_finding(NAME, examples, len(languages), Severity.LOW, REMEDY)
    return replace(finding, detail=detail)  # also of a single language: it is that of a sample
