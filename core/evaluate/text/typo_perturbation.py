"""Perturbs text with small typos in letters and words; the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

SHARE = 0.1  # of the words that are changed
_WORD = re.compile(r"[^\W\d_]+")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of the keyboard
_NEIGHBOURS = {
    key: "".join(
        row[place + step] for step in (-1, 1) if 0 <= place + step < len(row)
    )
    for row in _ROWS
    for place, key in enumerate(row)
}  # fmt: skip


def add_typos(text: str, share: float = SHARE, seed: int = 0) -> str:
    """Return ``text`` with a typo inside some words of four letters or more (Belinkov and Bisk 2018): two
    letters swapped, one omitted, doubled, or replaced by a neighbouring key. Digits, signs, spaces and first
    letters stay."""
    source = random.Random(f"characters {seed} {text}")
    return _WORD.sub(
        lambda match: _slip(match[0], source) if _hit(match[0], share, source) else match[0], text
    )


def _hit(word: str, share: float, source: random.Random) -> bool:
    return len(word) >= 4 and source.random() < share


def _slip(word: str, source: random.Random) -> str:
    place = source.randrange(1, len(word) - 1)
    return source.choice(_SLIPS)(word, place, source)


def _swap(word: str, place: int, source: random.Random) -> str:
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _omit(word: str, place: int, source: random.Random) -> str:
    return word[:place] + word[place + 1 :]


def _double(word: str, place: int, source: random.Random) -> str:
    return word[: place + 1] + word[place:]


def _mistype(word: str, place: int, source: random.Random) -> str:
    key = word[place]
    neighbour = source.choice(_NEIGHBOURS.get(key.lower(), key))
    return word[:place] + (neighbour.upper() if key.isupper() else neighbour) + word[place + 1 :]


_SLIPS: tuple[Callable[[str, int, random.Random], str], ...] = (_swap, _omit, _double, _mistype)


def disturb_words(text: str, share: float = SHARE, seed: int = 0) -> str:
    """Return ``text`` with some words swapped with the next, omitted or repeated (Wei and Zou 2019). The
    spacing between words, and so the lines, stay."""
    source = random.Random(f"words {seed} {text}")
    parts = re.split(r"(\s+)", text)  # words at even indices, the spacing at odd ones
    for place in range(0, len(parts) - 2, 2):
        if parts[place] and parts[place + 2] and source.random() < share:
            match source.randrange(3):
                case 0:
                    parts[place], parts[place + 2] = parts[place + 2], parts[place]
                case 1:
                    parts[place] = parts[place + 1] = ""
                case _:
                    parts[place] = f"{parts[place]} {parts[place]}"
    return "".join(parts)


PERTURBATIONS: dict[str, Callable[[str, float, int], str]] = {"characters": add_typos, "words": disturb_words}
