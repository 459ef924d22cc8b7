"""Replaces personal data by typed placeholders: the same value always gets the same one.

The number in a placeholder is an HMAC of the value with a salt: it is the same in all files that are
cleaned with that salt, in any order, and without the salt it does not help to guess the value.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from core.data.checks.person_name_rows import FindNames
from core.evaluate.text.pii_detector import SURE, PiiMatch, find_pii

PART = 100_000  # characters that the detector reads at once
# a text without any of these holds no piece of personal data: most rows are not read by the slow detector
SUSPECT = re.compile(
    r"[\d@]|://|PRIVATE KEY|dot|DOT|punkt|[\[({<]\s?(?:at|AT)\s?[\])}>]| AT "
    r"|(?i:pass|pwd|contrase|mot de|has[łl]o|senha|парол)"
)
DIGITS = 8  # hexadecimal: of 10,000 values of a kind, two are confused in one set of a hundred


class Placeholders:
    """The placeholders of one salt. ``find_names`` finds names of people, which no rule does."""

    def __init__(self, salt: str, find_names: FindNames | None = None) -> None:
        self._salt = salt.encode(errors="surrogateescape")
        self._find_names, self._named = find_names, dict[str, list[PiiMatch]]()

    def prepare(self, texts: Iterable[str]) -> None:
        """Find the names in texts that are replaced next, all at once."""
        if self._find_names is not None:
            parts = list(dict.fromkeys(part for text in texts for part in _list_parts(text)))
            self._named = dict(zip(parts, self._find_names(parts), strict=True))

    def replace(self, text: str, kinds: Counter[str]) -> str:
        """Return the text with each piece of personal data replaced; the pieces are counted in ``kinds``."""
        if self._find_names is None and not SUSPECT.search(text):
            return text
        if len(text) <= PART:
            return self._replace(text, kinds)
        return "".join(self._replace(part, kinds) for part in _list_parts(text))

    def _replace(self, text: str, kinds: Counter[str]) -> str:
        parts, at = list[str](), 0
        for piece in self._find(text):
            kinds[piece.kind] += 1
            parts += [text[at : piece.start], self._make_placeholder(piece)]
            at = piece.end
        return "".join([*parts, text[at:]])

    def _find(self, text: str) -> list[PiiMatch]:
        pieces = find_pii(text, SURE)
        if self._find_names is None:
            return pieces
        named = self._named[text] if text in self._named else self._find_names([text])[0]
        taken_spans = [(piece.start, piece.end) for piece in pieces]
        pieces += [
            name for name in named if not any(name.start < end and name.end > at for at, end in taken_spans)
        ]
        return sorted(pieces, key=lambda piece: piece.start)

    def _make_placeholder(self, piece: PiiMatch) -> str:
        digest = hmac.digest(self._salt, piece.key.encode(errors="surrogatepass"), "sha256")
        return f"[{piece.kind.upper()}_{digest.hex()[:DIGITS]}]"


def _list_parts(text: str) -> Iterator[str]:
    """Split a long text between lines, or else between words."""
    while len(text) > PART:
        end = max(text.rfind("\n", 0, PART), 0) or max(text.rfind(" ", 0, PART), 0) or PART
        yield text[:end]
        text = text[end:]
    yield text
