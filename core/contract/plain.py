"""Text from outside made harmless: data, models and error messages are shown, never interpreted."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Cc: escape sequences and bells; Cf: bidi overrides that reorder a line; Cs/Co: not printable
UNSAFE = {"Cc", "Cf", "Cs", "Co"}


def plain(text: str, limit: int | None = None, lines: bool = False) -> str:
    """``text`` without control, format and private characters, at most ``limit`` characters.

    Tabs become one space; so do line ends unless ``lines`` keeps them.
    """
    kept = []
    for character in text:
        if character == "\n":
            kept.append("\n" if lines else " ")
        elif character in "\t\r":
            kept.append(" ")
        elif unicodedata.category(character) in UNSAFE:
            kept.append(REPLACEMENT)
        else:
            kept.append(character)
    clean = "".join(kept)
    if limit is not None and len(clean) > limit:
        clean = clean[: max(0, limit - 1)] + "…"
    return clean
