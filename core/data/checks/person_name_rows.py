"""Finds rows with names of people, where the study has a model that finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.readers.row_texts import RowTexts
from core.evaluate.text.pii_detector import PiiMatch

NAME = "names of people"
READ = 16  # rows whose texts are read at once
REMEDY = "`trimtab clean --anonymise` replaces them, as the study has evaluate.names; or drop the rows"
FindNames = Callable[[Sequence[str]], list[list[PiiMatch]]]


def find_named(rows: Sequence[RowTexts], find: FindNames, tell: Callable[[str], None]) -> Finding:
    """Count the rows with a name of two words or more in any text. Examples are without the names."""
    hits = list[Example]()
    for start in range(0, len(rows), READ):
        tell(f"looking for names, {start:,} of {len(rows):,} rows")
        part = rows[start : start + READ]
        names = iter(find([text for row in part for text in row.all]))
        for row in part:
            named = [(text, matches) for text in row.all if (matches := next(names))]
            if named:
                hits.append(Example(row.number, _show(*named[0]) if len(hits) < EXAMPLES else ""))
    detail = "found by evaluate.names, whose errors are not known"
    return make_finding(NAME, hits, len(rows), Severity.MEDIUM, REMEDY, detail=detail)


def _show(text: str, names: Sequence[PiiMatch]) -> str:
    parts, at = list[str](), 0
    for name in names:
        parts += [text[at : name.start], "[name]"]
        at = name.end
    return excerpt_masked("".join([*parts, text[at:]]))
