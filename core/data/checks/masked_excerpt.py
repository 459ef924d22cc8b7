"""Short pieces of rows that may be shown: personal data and secrets are masked."""

from __future__ import annotations

import itertools
import re
import unicodedata
from functools import cache

from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.evaluate.text.pii_detector import KINDS, PiiMatch, find_pii

SHOWN = 56  # columns of an excerpt: with its row number it fits a line of 80
BEFORE = 24  # characters before the place that is shown
STARS = "***"


def mask_piece(piece: PiiMatch) -> str:
    """Return ``j***@e***`` for an e-mail address, ``D***`` for other pieces, ``***`` for keys and
    passwords."""
    if piece.kind == "secret":
        return STARS
    name, at, host = piece.text.partition("@")
    return f"{name[:1]}{STARS}" + (f"@{host[:1]}{STARS}" if at else "")


def mask_all(text: str) -> tuple[str, list[int]]:
    """Return the text with all personal data and secrets masked, and where each masked piece begins."""
    parts, places, at, size = list[str](), list[int](), 0, 0
    for piece in find_pii(text, KINDS):
        parts += [text[at : piece.start], mask_piece(piece)]
        size += piece.start - at
        places.append(size)
        size += len(parts[-1])
        at = piece.end
    return "".join([*parts, text[at:]]), places


def excerpt(text: str, place: int = 0) -> str:
    """Return about SHOWN columns of a masked text around ``place``, harmless for a terminal."""
    start = max(0, place - BEFORE)
    begin = text.find(" ", start, place) + 1 if start else 0  # a whole word, if there is one
    cut = text[begin or start : start + 4 * SHOWN]
    return _fit(sanitize(("…" if start else "") + _get_redactor().redact_text(cut).strip(), SHOWN))


def _fit(text: str) -> str:
    """Return the text cut to SHOWN columns; a Chinese character takes two."""
    columns = itertools.accumulate(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)
    fitting = sum(end < SHOWN for end in columns)
    return text if len(text) <= fitting + 1 else text[:fitting] + "…"


def excerpt_masked(text: str) -> str:
    """Return the beginning of a text that is not yet masked."""
    return excerpt(mask_all(text)[0])


def excerpt_around(text: str, pattern: re.Pattern[str]) -> str:
    """Return the surroundings of what ``pattern`` matches in a text that is not yet masked."""
    masked = mask_all(text)[0]  # before it is cut: half an address is not recognised
    match = pattern.search(masked)
    return excerpt(masked, match.start() if match else 0)


def excerpt_end(text: str) -> str:
    """Return the end of a text that is not yet masked."""
    masked = mask_all(text)[0].rstrip()
    return excerpt(masked, max(0, len(masked) - SHOWN + BEFORE + 2))


@cache
def _get_redactor() -> Redactor:
    return Redactor()
