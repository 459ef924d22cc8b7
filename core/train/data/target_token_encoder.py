"""Tokenises texts and finds their target tokens with the tokenizer's offsets.

A token is a target when it contains a character of a target span: a token that begins in the prompt and ends
in the answer is the first that the model generates. Two kinds of token at the edge of a span are none: a
control token of the prompt that swallows a space of the answer (Phi-3), and a token of the next turn that has
nothing of the answer but the space behind its stop token (Mistral v1). Long texts are cut before they are
tokenised, far behind the part that is kept.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from core import cpu_count
from core.data.readers.row_values import UnusableRow
from core.train.data.chat_render_cache import Span
from core.train.data.chat_spans import Text

BATCH = 256  # texts per call of the tokenizer
BATCH_CHARACTERS = 1 << 20  # per call; a longer text gets a call of its own
CHARACTERS = 16  # read per token that is kept; doubled as long as they are not enough
BEHIND = 64  # extra tokens behind the last that is kept: cutting the text changes only its last tokens
Array = np.ndarray[Any, np.dtype[Any]]


class Encoded(NamedTuple):
    """The text's first tokens, (T,) int32, and which of them are targets, (T,) bool; ``cut`` says that the
    text has more tokens."""

    ids: Array
    targets: Array
    cut: bool


class Encoder:
    """Encodes texts with a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = _find_backend(tokenizer)
        self._control = list_control_ids(tokenizer)

    def encode(self, texts: Iterable[Text], longest: int) -> Iterator[Encoded | UnusableRow]:
        """Encode the first ``longest`` tokens of each text; UnusableRow where its targets cannot be located.

        The next texts are taken from the iterable while threads encode those before them: the tokenizer
        holds no lock of the interpreter, and a worker's tokenizer has no threads of its own.
        """
        if not getattr(self._tokenizer, "is_fast", False):
            yield from (_encode_by_prefixes(self._tokenizer, text, longest) for text in texts)
            return
        limit = CHARACTERS * longest
        threads = (
            cpu_count.choose_threads(None, cpu_count.count_cpus().usable, os.environ) if self._backend else 1
        )
        waiting: deque[tuple[list[Text], Future[list[Any]]]] = deque()
        with ThreadPoolExecutor(threads, "tokenizer") as pool:
            for batch in _split_batches(texts, limit):
                waiting.append((batch, pool.submit(self._tokenise, batch, limit)))
                if len(waiting) > threads:
                    yield from self._finish(*waiting.popleft(), longest)
            while waiting:
                yield from self._finish(*waiting.popleft(), longest)

    def _finish(self, batch: Sequence[Text], future: Future[list[Any]], longest: int) -> Iterator[Encoded]:
        for text, encoding in zip(batch, future.result(), strict=True):
            limit, ids = CHARACTERS * longest, encoding.ids
            while len(text.text) > limit and len(ids) < longest + BEHIND:
                limit *= 2
                encoding = self._tokenise([text], limit)[0]
                ids = encoding.ids
            tokens = np.array(ids, np.int32)
            targets = self._find_targets(encoding, tokens, text)
            yield Encoded(tokens[:longest], targets[:longest], len(ids) > longest or len(text.text) > limit)

    def _tokenise(self, batch: Sequence[Text], limit: int) -> list[Any]:
        texts = [text.text[:limit] for text in batch]
        if self._backend is not None:
            return list(self._backend(texts))
        encoded = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [_Encoding(ids, offsets) for ids, offsets in pairs]

    def _find_targets(self, encoding: Any, ids: Array, text: Text) -> Array:
        targets = np.zeros(len(ids), bool)
        for span in text.spans:
            target_range = self._find_range(encoding, ids, text.text, span)
            if target_range is None:
                return find_targets(encoding.offsets, text, np.isin(ids, self._control))
            targets[slice(*target_range)] = True
        return targets

    def _find_range(self, encoding: Any, ids: Array, text: str, span: Span) -> tuple[int, int] | None:
        """The tokens of a span, from and to, without the offsets of all tokens: they are objects. None where
        it takes those: a text that is cut, or spaces that no offset covers."""
        if self._backend is None or len(ids) == 0:
            return None
        first, last = (encoding.char_to_token(at) for at in (span[0], span[1] - 1))
        if first is None or last is None:
            return None
        before = encoding.token_to_chars(first - 1) if first else (-1, 0)
        if not before[0] < before[1] <= span[0]:
            return None
        while last + 1 < len(ids) and (after := encoding.token_to_chars(last + 1))[0] < span[1]:
            if after[0] == after[1]:
                return None
            last += 1
        if encoding.token_to_chars(first)[0] < span[0] and ids[first] in self._control:
            first += 1
        begin, until = encoding.token_to_chars(last)
        if until > span[1] and text[max(begin, span[0]) : span[1]].isspace():
            last -= 1
        return first, last + 1


class _Encoding(NamedTuple):
    """What is used of the encodings of the tokenizers library."""

    ids: list[int]
    offsets: list[Span]


def list_control_ids(tokenizer: Any) -> Array:
    """The ids of the control tokens, sorted."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).items()
    special = {number for number, token in added if token.special}
    return np.array(sorted(special | set(getattr(tokenizer, "all_special_ids", ()))), np.int32)


def find_targets(offsets: Sequence[Span], text: Text, control: Array) -> Array:
    """Which tokens contain a character of the sorted spans, as (T,) bool; ``control``, (T,) bool, says which
    are control tokens.

    A token also covers what no token before it does: some tokenizers leave spaces out of their offsets.
    """
    begins, ends = np.array(offsets, np.int64).reshape(-1, 2).T
    covered = np.maximum.accumulate(np.concatenate(([0], ends)))[:-1]
    first = np.minimum(begins, covered)
    until = np.maximum(ends, first + 1)
    starts, tos = np.array([*text.spans, (1 << 62, 1 << 62)], np.int64).T
    at = np.searchsorted(tos[:-1], first, side="right")
    targets: Array = (starts[at] < until) & ~(control & (begins < starts[at]))
    for place in np.flatnonzero(targets & (ends > tos[at])):
        span = text.spans[at[place]]
        targets[place] = not text.text[max(int(first[place]), span[0]) : span[1]].isspace()
    return targets


def _find_backend(tokenizer: Any) -> Callable[[list[str]], list[Any]] | None:
    """The tokenizers library's own encoding of a batch, which makes no lists of what nobody reads; None for a
    tokenizer whose class encodes in another way."""
    from transformers import PreTrainedTokenizerFast

    kind, base = type(tokenizer), PreTrainedTokenizerFast
    methods = ("__call__", "_encode_plus")
    if not isinstance(tokenizer, base) or any(
        getattr(kind, method) is not getattr(base, method) for method in methods
    ):
        return None
    backend = tokenizer.backend_tokenizer

    def encode(texts: list[str]) -> list[Any]:
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        encodings: list[Any] = backend.encode_batch(texts, add_special_tokens=False)
        return encodings

    return encode


def _split_batches(texts: Iterable[Text], limit: int) -> Iterator[list[Text]]:
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


def _encode_by_prefixes(tokenizer: Any, text: Text, longest: int) -> Encoded | UnusableRow:
    """Encode with a tokenizer that has no offsets: the tokens of the text up to each end of a target span
    must equal the first tokens of the full text."""

    def ids_of(part: str) -> list[int]:
        return list(tokenizer(part, add_special_tokens=False)["input_ids"])

    ids = ids_of(text.text)
    targets = np.zeros(len(ids), bool)
    for span in text.spans:
        begin, end = (ids_of(text.text[:at]) for at in span)
        if ids[: len(begin)] != begin or ids[: len(end)] != end:
            return UnusableRow(
                "this tokenizer has no offsets, and the answer's first token cannot be located"
            )
        targets[len(begin) : len(end)] = True
    return Encoded(np.array(ids[:longest], np.int32), targets[:longest], len(ids) > longest)
