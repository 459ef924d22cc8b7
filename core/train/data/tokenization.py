"""Texts to tokens, each whole, and by the tokenizer's own offsets which of them are learnt.

A token is learnt when it holds a character of what is learnt: one that begins in the prompt and ends in the
answer is what the model says first. Long texts are cut before they are tokenised, far behind what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from core.train.data.chat_spans import Span, Text
from core.train.data.row_values import Formless

BATCH = 256  # texts per call of the tokenizer
BATCH_CHARACTERS = 1 << 20  # of a call, but for a longer text alone
CHARACTERS = 16  # for each token that is kept: read first, twice as many again where they are not enough
BEHIND = 64  # tokens behind the last that is kept: a cut changes only the last ones


class Encoded(NamedTuple):
    """The text's tokens, and which are learnt, at most as many as asked for; ``cut``: there were more."""

    ids: list[int]
    learnt: list[bool]
    cut: bool


def encode(tokenizer: Any, found: Sequence[Text], most: int) -> Iterator[Encoded | Formless]:
    """The first ``most`` tokens of each text. Formless stands for a text of which it cannot be told."""
    for some in _batches(found, CHARACTERS * most):
        if not getattr(tokenizer, "is_fast", False):
            yield from (_by_prefixes(tokenizer, one, most) for one in some)
            continue
        for text, ids, offsets in zip(some, *_tokens(tokenizer, some, CHARACTERS * most), strict=True):
            limit = CHARACTERS * most
            while len(text.text) > limit and len(ids) < most + BEHIND:
                limit *= 2
                (ids,), (offsets,) = _tokens(tokenizer, [text], limit)
            kept = offsets[:most]
            yield Encoded(ids[:most], learnt(kept, text.spans), len(ids) > most or len(text.text) > limit)


def learnt(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """Which tokens hold a character of ``spans``, which are in order.

    A token also covers what no token before it does: some tokenizers leave spaces out of their offsets.
    """
    found, place, end = list[bool](), 0, 0  # end: of all tokens so far
    for begin, until in offsets:
        first = min(begin, end)
        while place < len(spans) and spans[place][1] <= first:
            place += 1
        found.append(place < len(spans) and spans[place][0] < max(until, first + 1))
        end = max(end, until)
    return found


def _batches(found: Sequence[Text], limit: int) -> Iterator[list[Text]]:
    some: list[Text] = []
    size = 0
    for one in found:
        length = min(len(one.text), limit)
        if some and (len(some) == BATCH or size + length > BATCH_CHARACTERS):
            yield some
            some, size = [], 0
        some.append(one)
        size += length
    if some:
        yield some


def _tokens(tokenizer: Any, some: Sequence[Text], limit: int) -> tuple[list[list[int]], list[list[Span]]]:
    texts = [one.text[:limit] for one in some]
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    return found["input_ids"], found["offset_mapping"]


def _by_prefixes(tokenizer: Any, one: Text, most: int) -> Encoded | Formless:
    """For a tokenizer without offsets: the tokens of the text up to where something learnt begins or ends
    have to be the first ones of the whole."""

    def ids_of(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    ids = ids_of(one.text)
    learns = [False] * len(ids)
    for span in one.spans:
        begin, end = (ids_of(one.text[:place]) for place in span)
        if ids[: len(begin)] != begin or ids[: len(end)] != end:
            return Formless("this tokenizer tells no offsets, and where the answer begins cannot be told")
        learns[len(begin) : len(end)] = [True] * (len(end) - len(begin))
    return Encoded(ids[:most], learns[:most], len(ids) > most)
