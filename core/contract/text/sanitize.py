"""Sanitize text from outside, such as data, model output and error messages, so that it is shown and never
interpreted."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Cc: escape sequences and bells; Cf: bidi overrides and zero-width characters; Cs/Co: not printable;
# Zl/Zp: line ends that some libraries obey and others do not
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
MARKS = {"Mn", "Me"}  # combining marks; a hundred on one character reach into other lines
MARKS_KEPT = 2
READ_AHEAD = 4  # characters processed for each that may be shown: marks take no space


def sanitize(text: str, limit: int | None = None, lines: bool = False) -> str:
    """Return ``text`` without control, format and private characters, at most ``limit`` characters.

    A tab becomes one space, and so does a line end unless ``lines`` keeps it. Text far beyond the limit is
    not processed at all: a line may have megabytes.
    """
    if limit is not None:
        text = text[: READ_AHEAD * (limit + 1)]
    if text.isascii() and text.isprintable():  # the usual case
        return _cut(text, limit)
    characters: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in MARKS else 0
        if marks > MARKS_KEPT or (marks and not characters):
            continue
        if character == "\n":
            characters.append("\n" if lines else " ")
        elif character in "\t\r":
            characters.append(" ")
        else:
            characters.append(REPLACEMENT if category in UNSAFE else character)
    return _cut("".join(characters), limit)


def show_value(value: object, limit: int = 80) -> str:
    """Return the repr of any value, short and sanitized."""
    return sanitize(repr(value), limit)


def _cut(text: str, limit: int | None) -> str:
    if limit is not None and len(text) > limit:
        return text[: max(0, limit - 1)] + "…" * (limit > 0)
    return text
