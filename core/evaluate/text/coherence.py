"""Gates out texts that loop or are no language, without a model."""

from __future__ import annotations

import re
from collections import Counter

READ = 2_000  # characters
LOOP_UNITS = 6  # fewer words or sentences are too few to call a loop
DISTINCT_WORDS = 0.25  # prose and lists of up to READ characters stay above it
LOOP_TRIGRAMS = 0.5  # share of three-word runs that stand more than once
READABLE = 0.4  # share of letters, digits and marks; code stays above it
LONGEST_WORD = 60  # characters of one ASCII word

_SENTENCES = re.compile(r"[.!?。！？।؟\n]+")


def is_coherent(text: str) -> bool:
    """Tell whether ``text`` neither loops nor is gibberish. It says nothing about whether the text is
    right."""
    head = text[:READ].strip()
    return bool(head) and _is_readable(head) and not _loops(head)


def _is_readable(text: str) -> bool:
    signs = [sign for sign in text if not sign.isspace()]
    readable = sum(sign.isalnum() or "\u0900" <= sign <= "\u0dff" for sign in signs)
    longest = max(text.split(), key=len)
    glued = len(longest) > LONGEST_WORD and longest.isascii() and longest.isalpha()
    return readable >= READABLE * len(signs) and "\ufffd" not in text and not glued


def _loops(text: str) -> bool:
    sentences = [" ".join(part.lower().split()) for part in _SENTENCES.split(text)]
    sentences = [part for part in sentences if len(part) > 3]
    if len(sentences) > 1 and len(set(sentences)) <= len(sentences) / 2:
        return True
    words = text.lower().split()
    if len(words) < LOOP_UNITS:
        return len(text) >= 4 * LOOP_UNITS and len(set(text)) <= 3
    return len(set(words)) < DISTINCT_WORDS * len(words) or _measure_repeated_trigrams(words) > LOOP_TRIGRAMS


def _measure_repeated_trigrams(words: list[str]) -> float:
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    return sum(count for count in runs.values() if count > 1) / sum(runs.values())
