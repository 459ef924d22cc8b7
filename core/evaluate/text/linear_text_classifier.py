"""A small linear classifier of texts: logistic regression over hashed n-grams of words and characters.
``python -m tests.classifiers.train`` trains the packaged ones on texts written for the project."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np

from core.evaluate.prompts.packaged_prompts import DATA

READ = 1200  # characters, about 200 tokens
ENDING = 100  # characters of the end, which are read by themselves: an answer may turn
# Results that are kept: scores are published while answers still come, and each time all of them are read.
KEPT_TEXTS, KEPT_WORDS = 4096, 16384
# Blocks of features: n-grams of words, of characters within words, and of words at the end. Each block has
# buckets of its own, 2 ** bits of them, and counts as much as its weight.
BLOCKS = (("words", 15, 1.0), ("characters", 16, 1.0), ("ending", 13, 0.5))
_WORD = re.compile(r"[\w']+|[^\w\s]")
_QUOTES = {ord(quote): "'" for quote in "‘’ʼ`´"} | {ord(quote): '"' for quote in "“”„«»「」『』"}

Features = tuple[
    np.ndarray, np.ndarray
]  # buckets (K,) int64, ascending within a block, and values (K,) float32


def count_buckets() -> int:
    """Return the number of buckets of all blocks."""
    return sum(1 << bits for _, bits, _ in BLOCKS)


def extract_features(text: str) -> Features:
    """Return the n-grams of a text as buckets, with 1 + ln(count)."""
    text = " ".join(text[: 2 * READ].lower().translate(_QUOTES).split())[:READ]
    kinds = {
        "words": _hash_words(text, 3),
        "characters": _hash_characters(text),
        "ending": _hash_words(text[-ENDING:], 2),
    }
    at, buckets_of_text, values = 0, [], []
    for name, bits, _ in BLOCKS:
        counts = Counter([code & ((1 << bits) - 1) for code in kinds[name]])
        order = sorted(counts)
        buckets_of_text += [at + bucket for bucket in order]
        values += [counts[bucket] for bucket in order]
        at += 1 << bits
    return np.array(buckets_of_text, dtype=np.int64), 1.0 + np.log(np.array(values, dtype=np.float32))


def _hash_words(text: str, longest: int) -> Iterator[int]:
    words = _WORD.findall(text)
    for size in range(1, longest + 1):
        yield from (
            zlib.crc32(" ".join(words[at : at + size]).encode()) for at in range(len(words) - size + 1)
        )


def _hash_characters(text: str) -> Iterator[int]:
    return chain.from_iterable(map(_hash_ngrams, text.split()))


@lru_cache(KEPT_WORDS)
def _hash_ngrams(word: str) -> tuple[int, ...]:
    """Return the checksums of the n-grams of characters of one word."""
    padded = f" {word} "
    return tuple(
        zlib.crc32(padded[at : at + size].encode())
        for size in range(2, 6)
        for at in range(max(1, len(padded) - size + 1))
    )


def weigh(rows: Iterable[Features], rarity: np.ndarray) -> list[Features]:
    """Return features times the ``rarity`` of their buckets, each block scaled to its weight: what the
    weights of a classifier multiply."""
    ends = np.cumsum([1 << bits for _, bits, _ in BLOCKS])
    result = []
    for bucket_numbers, values in rows:
        scaled = values * rarity[bucket_numbers]
        cuts = np.searchsorted(bucket_numbers, ends)
        begin = 0
        for cut, (_, _, weight) in zip(cuts, BLOCKS, strict=True):
            part = scaled[begin:cut]
            part *= weight / max(1e-12, float(np.sqrt(part @ part)))
            begin = int(cut)
        result.append((bucket_numbers, scaled))
    return result


class TextClassifier:
    """``rarity`` (N,) and ``weights`` (N, C) of N buckets and C ``classes``, and a ``bias`` (C,)."""

    def __init__(
        self, classes: Sequence[str], rarity: np.ndarray, weights: np.ndarray, bias: np.ndarray
    ) -> None:
        self.classes, self._rarity, self._weights, self._bias = tuple(classes), rarity, weights, bias
        self._known = lru_cache(KEPT_TEXTS)(self._compute_logits)

    def predict_probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Return the probability of each class for each text, (T, C)."""
        logits = np.array([self._known(text[: 2 * READ]) for text in texts])
        logits = logits.reshape(len(texts), len(self.classes))
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        result: np.ndarray = exponents / exponents.sum(1, keepdims=True)
        return result

    def _compute_logits(self, text: str) -> np.ndarray:
        ((bucket_numbers, values),) = weigh([extract_features(text)], self._rarity)
        result: np.ndarray = values @ self._weights[bucket_numbers] + self._bias
        return result


def save(
    path: Path, classes: Sequence[str], rarity: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> None:
    """Write a classifier: weights as signed bytes with a scale for each class, rarity as float16."""
    scale = np.abs(weights).max(0) / 127
    content = {"classes": list(classes), "scale": scale.tolist(), "bias": bias.tolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("classifier.json", json.dumps(content))
        archive.writestr("weights.int8", np.round(weights / scale).astype(np.int8).tobytes())
        archive.writestr("rarity.float16", rarity.astype("<f2").tobytes())


@cache
def load_packaged(name: str) -> TextClassifier:
    """Return the packaged classifier of this name."""
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        content = json.loads(archive.read("classifier.json"))
        weights = np.frombuffer(archive.read("weights.int8"), np.int8).reshape(count_buckets(), -1)
        rarity = np.frombuffer(archive.read("rarity.float16"), "<f2").astype(np.float32)
    scaled = weights.astype(np.float32) * np.asarray(content["scale"], dtype=np.float32)
    return TextClassifier(content["classes"], rarity, scaled, np.asarray(content["bias"], dtype=np.float32))
