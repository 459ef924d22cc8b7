"""Tokenises texts and finds their target tokens with the tokenizer's offsets.

A token is a target when it contains a character of a target span: a token that begins in the prompt and ends
in the answer is the first that the model generates. Long texts are cut before they are tokenised, far behind
the part that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from core.data.readers.row_values import UnusableRow
from core.train.data.chat_spans import Span, Text

BATCH = 256  # texts per call of the tokenizer
BATCH_CHARACTERS = 1 << 20  # per call; a longer text gets a call of its own
CHARACTERS = 16  # read per token that is kept; doubled as long as they are not enough
BEHIND = 64  # extra tokens behind the last that is kept: cutting the text changes only its last tokens


class Encoded(NamedTuple):
    """The text's first tokens and which of them are targets; ``cut`` says that the text has more tokens."""

    ids: list[int]
    targets: list[bool]
    cut: bool


def encode(tokenizer: Any, texts: Sequence[Text], most: int) -> Iterator[Encoded | UnusableRow]:
    """Encode the first ``most`` tokens of each text; UnusableRow where its targets cannot be located."""
    for batch in _batches(texts, CHARACTERS * most):
        if not getattr(tokenizer, "is_fast", False):
            yield from (_encode_by_prefixes(tokenizer, text, most) for text in batch)
            continue
        for text, ids, offsets in zip(batch, *_tokenise(tokenizer, batch, CHARACTERS * most), strict=True):
            limit = CHARACTERS * most
            while len(text.text) > limit and len(ids) < most + BEHIND:
                limit *= 2
                (ids,), (offsets,) = _tokenise(tokenizer, [text], limit)
            targets = find_targets(offsets[:most], text.spans)
            yield Encoded(ids[:most], targets, len(ids) > most or len(text.text) > limit)


def find_targets(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """Which tokens contain a character of the sorted ``spans``.

    A token also covers what no token before it does: some tokenizers leave spaces out of their offsets.
    """
    targets, at, end = list[bool](), 0, 0  # end: of all tokens so far
    for begin, until in offsets:
        first = min(begin, end)
        while at < len(spans) and spans[at][1] <= first:
            at += 1
        targets.append(at < len(spans) and spans[at][0] < max(until, first + 1))
        end = max(end, until)
    return targets


def _batches(texts: Sequence[Text], limit: int) -> Iterator[list[Text]]:
    batch: list[Text] = []
    size = 0
    for text in texts:
        length = min(len(text.text), limit)
        if batch and (len(batch) == BATCH or size + length > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _tokenise(tokenizer: Any, batch: Sequence[Text], limit: int) -> tuple[list[list[int]], list[list[Span]]]:
    texts = [text.text[:limit] for text in batch]
    encoding = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    return encoding["input_ids"], encoding["offset_mapping"]


def _encode_by_prefixes(tokenizer: Any, text: Text, most: int) -> Encoded | UnusableRow:
    """Encode with a tokenizer that has no offsets: the tokens of the text up to each end of a target span
    must equal the first tokens of the full text."""

    def ids_of(part: str) -> list[int]:
        return list(tokenizer(part, add_special_tokens=False)["input_ids"])

    ids = ids_of(text.text)
    targets = [False] * len(ids)
    for span in text.spans:
        begin, end = (ids_of(text.text[:at]) for at in span)
        if ids[: len(begin)] != begin or ids[: len(end)] != end:
            return UnusableRow(
                "this tokenizer has no offsets, and the answer's first token cannot be located"
            )
        targets[len(begin) : len(end)] = [True] * (len(end) - len(begin))
    return Encoded(ids[:most], targets[:most], len(ids) > most)
