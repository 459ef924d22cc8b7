"""Hashes the words of many texts at once: NumPy reads the characters, and no word becomes a Python object.

A word is a run of letters and digits, in any case and width; each Chinese, Japanese or Korean character is
one. The hashes are the same in every process.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]
BATCH_CHARACTERS = 1 << 15  # hashed at once: the arrays of a batch stay in the processor's cache
PLANE = 1 << 16  # characters beyond it, such as emoji and rare ideographs, are words by themselves
_CJK = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF))
_BASE = 0x9E3779B97F4A7C15  # odd: its powers have inverses modulo 2^64
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


class Words(NamedTuple):
    """The words of several texts, in order: ``hashes`` (W,), and the index of the ``text`` of each (W,)."""

    hashes: Hashes
    text: Indices


def hash_words(texts: Sequence[str]) -> Words:
    """Hash the words of each text."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    parts = [
        _hash_batch(texts[begin:end], begin, lengths[begin:end]) for begin, end in _make_batches(lengths)
    ]
    if not parts:
        return Words(np.empty(0, np.uint64), np.empty(0, np.int64))
    return Words(
        np.concatenate([part.hashes for part in parts]), np.concatenate([part.text for part in parts])
    )


def hash_grams(words: Words, size: int) -> Words:
    """Hash every run of ``size`` words that lies within one text."""
    count = max(0, len(words.hashes) - size + 1)
    within = words.text[:count] == words.text[size - 1 : size - 1 + count]
    total = np.zeros(count, np.uint64)
    for place in range(size):
        total *= np.uint64(_BASE)
        total += words.hashes[place : place + count]
    return Words(mix(total[within]), words.text[:count][within])


def mix(hashes: Hashes) -> Hashes:
    """Spread every bit of each hash over all bits."""
    hashes = (hashes ^ (hashes >> _SHIFT)) * _MIX
    hashes = (hashes ^ (hashes >> _SHIFT)) * _MIX
    return hashes ^ (hashes >> _SHIFT)


def _make_batches(lengths: Indices) -> Iterator[tuple[int, int]]:
    """Yield from and to which index texts have about BATCH_CHARACTERS together."""
    ends, begin = np.cumsum(lengths), 0
    while begin < len(lengths):
        before = int(ends[begin - 1]) if begin else 0
        end = int(np.searchsorted(ends, before + BATCH_CHARACTERS, side="right"))
        yield begin, max(end, begin + 1)
        begin = max(end, begin + 1)


def _hash_batch(texts: Sequence[str], first: int, lengths: Indices) -> Words:
    values, whole = _read_characters("\n".join([*texts, ""]))
    begins, ends = _find_bounds(values, whole)
    powers, inverses = _make_powers(1 << max(16, len(values).bit_length()))
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    hashes = (sums[ends] - sums[begins]) * inverses[begins]
    edges = np.concatenate([[0], np.cumsum(lengths)])
    counts = np.diff(np.searchsorted(begins, edges))
    return Words(mix(hashes), np.repeat(np.arange(first, first + len(texts)), counts))


def _read_characters(text: str) -> tuple[Hashes, Bits | None]:
    """Return the value of each character, the same for "A", "a" and a wide "Ａ", and 0 for what is no word;
    and which characters are words by themselves, None for no character."""
    values, whole = _make_tables()
    if text.isascii():
        return values.take(np.frombuffer(text.encode(), np.uint8)), None
    order = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
    codes = np.frombuffer(text.encode(order, errors="surrogatepass"), np.uint32)
    if codes.max() < PLANE:
        return values.take(codes), whole.take(codes)
    low, beyond = np.minimum(codes, PLANE - 1), codes >= PLANE
    return np.where(beyond, mix(codes.astype(np.uint64)), values[low]), beyond | whole[low]


def _find_bounds(values: Hashes, whole: Bits | None) -> tuple[Indices, Indices]:
    """Return where each word begins and ends. The last character is no word."""
    letter = values != 0
    if whole is None or not whole.any():
        edges = np.flatnonzero(letter[1:] != letter[:-1]) + 1
        edges = np.concatenate([[0], edges]) if letter[0] else edges
        return edges[::2], edges[1::2]
    joins = letter & ~whole
    before, after = np.zeros_like(joins), np.zeros_like(joins)
    before[1:], after[:-1] = joins[:-1], joins[1:]
    return np.flatnonzero((joins & ~before) | whole), np.flatnonzero((joins & ~after) | whole) + 1


@cache
def _make_tables() -> tuple[Hashes, Bits]:
    """The value of each character of the basic plane, and whether it is a word by itself."""
    values = np.zeros(PLANE, np.uint64)
    for code in range(PLANE):
        letter = chr(code)
        if letter.isalnum():
            simple = unicodedata.normalize("NFKC", letter).casefold()
            values[code] = ord(simple) if len(simple) == 1 else code
    whole = np.zeros(PLANE, bool)
    for low, high in _CJK:
        whole[low : high + 1] = values[low : high + 1] != 0
    return np.where(values != 0, mix(values), np.uint64(0)), whole


@cache
def _make_powers(count: int) -> tuple[Hashes, Hashes]:
    """The first powers of the base, and their inverses, modulo 2^64."""
    inverse = pow(_BASE, -1, 1 << 64)
    return tuple(  # type: ignore[return-value]
        np.cumprod(np.concatenate([[np.uint64(1)], np.full(count - 1, base, np.uint64)]), dtype=np.uint64)
        for base in (_BASE, inverse)
    )
