"""Tells which paraphrases of prompts are worth training on: what no model is needed for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from core.data.copies.row_copy_index import RowPrints
from core.data.stream.row_batches import BATCH_ROWS, RowBatch, read_row

WORD = re.compile(r"\w+")
GIVEN_AWAY = 4  # words in a row of the answer
MOST_SHARED = 0.5  # of the sequences of three words: near copies share more
EMPTY, SAME, NUMBERS = "empty", "the same words", "another number"
STATEMENT, ANSWERS = "a statement instead of a question", "says part of the answer"
QUESTION = re.compile("[?？؟]")
PREAMBLE = re.compile(
    r"\A(?:sure|certainly|of course|here(?:'s| is| are))\b[^\n:]{0,80}:\s*|"
    r"\A(?:rewritten|rephrased|paraphrased|new)?\s*(?:request|question|prompt|version)\s*:\s*",
    re.IGNORECASE,
)
QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"))


def tidy(text: str, original: str) -> str:
    """Return a paraphrase without what models put around it: "Sure, here is …:", and quotation marks."""
    text = PREAMBLE.sub("", text.strip()).strip()
    for begin, end in QUOTES:
        if len(text) > 1 and text.startswith(begin) and text.endswith(end) and not original.startswith(begin):
            text = text[1:-1].strip()
    return text


def find_fault(text: str, original: str, answer: str) -> str:
    """Return why a paraphrase is not used, without asking a model; "" if it may be."""
    if not text.strip():
        return EMPTY
    if list_words(text) == list_words(original):
        return SAME
    if _count_numbers(text) != _count_numbers(original):
        return NUMBERS
    if QUESTION.search(original) and not QUESTION.search(text):
        return STATEMENT  # most likely an answer, and perhaps a wrong one
    return ANSWERS if _gives_away(text, original, answer) else ""


def list_words(text: str) -> list[str]:
    """Return the words of a text, without case and punctuation."""
    return WORD.findall(text.casefold())


def is_alike(text: str, other: str) -> bool:
    """Tell whether two texts share half of their sequences of three words, as near duplicates do; of short
    ones the check of duplicates has no signature."""
    words = list_words(text), list_words(other)
    size = max(1, min(3, *map(len, words)))
    first, second = (_list_sequences(word_list, size) for word_list in words)
    return words[0] == words[1] or len(first & second) >= MOST_SHARED * len(first | second) > 0


def _count_numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+", text))


def _gives_away(text: str, original: str, answer: str) -> bool:
    """Tell whether the paraphrase has words of the answer in a row that the original does not have: the model
    has answered, and of course the answer is then likely."""
    answered = list_words(answer)
    size = min(GIVEN_AWAY, len(answered))
    return bool(size) and bool(_list_sequences(list_words(text), size) & _list_sequences(answered, size)
                               - _list_sequences(list_words(original), size))  # fmt: skip


def _list_sequences(words: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


class PromptPrints:
    """The prompts that a paraphrase must differ from, by the check that finds duplicates of rows."""

    def __init__(self) -> None:
        self._prints, self._waiting = RowPrints(), list[str]()

    def add(self, prompt: str) -> None:
        """Take in the next prompt, or paraphrase."""
        self._waiting.append(prompt)
        if len(self._waiting) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows = [{"text": " ".join(list_words(prompt))} for prompt in self._waiting]
        first = len(self._prints) + 1
        self._prints.add(RowBatch([read_row(row, row, number) for number, row in enumerate(rows, first)]))
        self._waiting = []

    def find_first_alike(self) -> list[int]:
        """Return for each prompt the first that is like it, at least nearly: itself if none is before it."""
        self._flush()
        result: list[int] = self._prints.near_copies.tolist()
        return result
