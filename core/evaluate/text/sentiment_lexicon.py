"""Sentiment of a text from a small lexicon with negation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from core.evaluate.prompts.packaged_prompts import table

# Rules and factors of VADER (Hutto and Gilbert 2014); the words are our own.
NEGATED = -0.74
STRONGER, WEAKER = 1.3, 0.7
REACH = 3  # words before a word that may negate it
ALPHA = 15.0  # sum / sqrt(sum² + 15) lies between -1 and 1
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|[.!?;]")
_QUOTES = {ord(quote): "'" for quote in "‘’ʼ`´"}


@dataclass(frozen=True)
class Lexicon:
    """Words with their weights, and words that negate, strengthen or weaken the next."""

    weights: dict[str, float]
    negations: frozenset[str]
    steps: dict[str, float]


@cache
def lexicon() -> Lexicon:
    """The packaged words. Raises TrimtabError for a broken file."""
    raw = table("sentiment.toml", ("negations", "stronger", "weaker", "words"))
    steps = dict.fromkeys(raw["stronger"], STRONGER) | dict.fromkeys(raw["weaker"], WEAKER)
    weights = {word: float(weight) for weight, words in raw["words"].items() for word in words}
    return Lexicon(weights, frozenset(raw["negations"]), steps)


def sentiment(texts: Sequence[str]) -> list[float]:
    """The sentiment of each text, from -1 (hostile) to 1 (kind); 0 is neutral. It has the form of a
    ``toxicity_scorer.Scorer``, so a user's classifier may replace it."""
    return [_score(text) for text in texts]


def _score(text: str) -> float:
    words = _WORD.findall(text.translate(_QUOTES).lower())
    total = sum(_weight(words, place) for place in range(len(words)))
    return total / math.sqrt(total * total + ALPHA)


def _weight(words: list[str], place: int) -> float:
    known = lexicon()
    weight = known.weights.get(words[place], 0.0)
    if not weight or words[place] in known.negations:
        return 0.0
    before: list[str] = []
    for word in reversed(words[max(0, place - REACH) : place]):
        if word in ".!?;":
            break
        before.append(word)
    weight *= known.steps.get(before[0], 1.0) if before else 1.0
    turned = sum(word in known.negations for word in before) % 2
    return weight * (NEGATED if turned else 1.0)
