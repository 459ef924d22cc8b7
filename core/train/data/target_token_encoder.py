"""Tokenises texts and finds their target tokens with the tokenizer's offsets.

A token is a target when it contains a character of a target span: a token that begins in the prompt and ends
in the answer is the first that the model generates. Two kinds of token at the edge of a span are none: a
control token of the prompt that swallows a space of the answer (Phi-3), and a token of the next turn that has
nothing of the answer but the space behind its stop token (Mistral v1). Long texts are cut before they are
tokenised, far behind the part that is kept.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from core import cpu_count
from core.train.data.batches.byte_tokens import find_byte_tokens
from core.train.data.batches.token_batch import TokenBatch
from core.train.data.chat_render_cache import Span
from core.train.data.chat_spans import Text

BATCH = 256  # texts per call of the tokenizer
BATCH_CHARACTERS = 1 << 20  # per call; a longer text gets a call of its own
CHARACTERS = 16  # read per token that is kept; doubled as long as they are not enough
UNLOCATED = "this tokenizer has no offsets, and the answer's first token cannot be located"
BEHIND = 64  # extra tokens behind the last that is kept: cutting the text changes only its last tokens
Array = np.ndarray[Any, np.dtype[Any]]


class Encoder:
    """Encodes texts with a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = _find_backend(tokenizer)
        self._control = list_control_ids(tokenizer)
        self._control_set = frozenset(self._control.tolist())
        self._bytes = find_byte_tokens(tokenizer.backend_tokenizer, self._control) if self._backend else None

    def encode(self, texts: Iterable[Text], longest: int) -> Iterator[TokenBatch]:
        """Encode the first ``longest`` tokens of each text, in batches; a text whose targets cannot be
        located has a fault.

        The next texts are taken from the iterable while threads encode those before them: the tokenizer
        holds no lock of the interpreter, and a worker's tokenizer has no threads of its own.
        """
        limit = CHARACTERS * longest
        batches = _split_batches(texts, limit)
        if not getattr(self._tokenizer, "is_fast", False):
            yield from (_encode_by_prefixes(self._tokenizer, batch, longest) for batch in batches)
            return
        threads = (
            cpu_count.choose_threads(None, cpu_count.count_cpus().usable, os.environ) if self._backend else 1
        )
        waiting: deque[tuple[list[Text], Future[_Tokenised]]] = deque()
        with ThreadPoolExecutor(threads, "tokenizer") as pool:
            for batch in batches:
                waiting.append((batch, pool.submit(self._tokenise, batch, limit)))
                if len(waiting) > threads:
                    yield self._finish(*waiting.popleft(), longest)
            while waiting:
                yield self._finish(*waiting.popleft(), longest)

    def _tokenise(self, batch: Sequence[Text], limit: int) -> _Tokenised:
        texts = [text.text[:limit] for text in batch]
        if self._bytes is None or self._backend is None:
            return _Tokenised(self._tokenise_with_offsets(texts), [])
        bare = [at for at, text in enumerate(batch) if len(text.text) <= limit and text.text.isascii()]
        others = sorted({*range(len(texts))}.difference(bare))
        encodings = dict(zip(bare, self._backend([texts[at] for at in bare], False), strict=True))
        encodings |= zip(others, self._backend([texts[at] for at in others], True), strict=True)
        return _Tokenised([encodings[at] for at in range(len(texts))], bare)

    def _tokenise_with_offsets(self, texts: list[str]) -> list[Any]:
        if self._backend is not None:
            return list(self._backend(texts, True))
        encoded = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [_Encoding(ids, offsets) for ids, offsets in pairs]

    def _finish(self, batch: Sequence[Text], future: Future[_Tokenised], longest: int) -> TokenBatch:
        ids, lengths, is_cut, (encodings, bare) = array("i"), list[int](), list[bool](), future.result()
        for at, text in enumerate(batch):
            limit, own = CHARACTERS * longest, encodings[at].ids
            while len(text.text) > limit and len(own) < longest + BEHIND:
                limit *= 2
                encodings[at] = self._tokenise_with_offsets([text.text[:limit]])[0]
                own = encodings[at].ids
            ids.fromlist(own)
            lengths.append(len(own))
            is_cut.append(len(own) > longest or len(text.text) > limit)
        tokens, targets = np.frombuffer(ids, np.int32), np.zeros(len(ids), bool)
        found = TokenBatch.of(tokens, targets, lengths, is_cut)
        known = self._mark_bare(found, batch, bare)
        for at, begin in enumerate(found.begins.tolist()):
            if at not in known:
                place = slice(begin, begin + lengths[at])
                targets[place] = self._find_targets(encodings[at], tokens[place], batch[at], at in bare)
        return found.shorten(longest)

    def _mark_bare(self, found: TokenBatch, batch: Sequence[Text], bare: Sequence[int]) -> set[int]:
        """Mark the targets of the texts that were encoded without offsets; return those whose targets are
        known for certain."""
        if not bare or self._bytes is None:
            return set()
        inside, texts = found.find_tokens(bare), [batch[at] for at in bare]
        ends = np.cumsum((found.ends - found.begins)[bare])
        targets = self._bytes.find_targets(
            found.ids[inside], ends, [text.text for text in texts], [text.spans for text in texts]
        )
        if targets is None:
            self._bytes = None
            return set()
        found.targets[inside] = targets
        return set(bare)

    def _find_targets(self, encoding: Any, ids: Array, text: Text, is_bare: bool) -> Array:
        if is_bare:
            (encoding,) = self._tokenise_with_offsets([text.text])
        ranges = self._find_ranges(encoding, ids, text)
        if ranges is None:
            return find_targets(encoding.offsets, text, np.isin(ids, self._control))
        targets = np.zeros(len(ids), bool)
        for first, until in ranges:
            targets[first:until] = True
        return targets

    def _find_ranges(self, encoding: Any, ids: Array, text: Text) -> list[Span] | None:
        """The tokens of each span, from and to, without the offsets of all tokens: they are objects. None
        where it takes those: a text that is cut, or spaces that no offset covers."""
        if self._backend is None or not len(ids):
            return None
        ranges, find_token, find_place = list[Span](), encoding.char_to_token, encoding.token_to_chars
        for start, end in text.spans:
            first, last = find_token(start), find_token(end - 1)
            if first is None or last is None:
                return None
            before = find_place(first - 1) if first else (-1, 0)
            if not before[0] < before[1] <= start:
                return None
            while last + 1 < len(ids) and (after := find_place(last + 1))[0] < end:
                if after[0] == after[1]:
                    return None
                last += 1
            if int(ids[first]) in self._control_set and find_place(first)[0] < start:
                first += 1
            begin, until = find_place(last)
            if until > end and text.text[max(begin, start) : end].isspace():
                last -= 1
            ranges.append((first, last + 1))
        return ranges


class _Tokenised(NamedTuple):
    """The encoding of each text; those of the texts ``bare``, by index, have no offsets."""

    encodings: list[Any]
    bare: list[int]


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


def _find_backend(tokenizer: Any) -> Callable[[list[str], bool], list[Any]] | None:
    """The tokenizers library's own encoding of a batch, with or without offsets, which makes no lists that
    are never read; None for a tokenizer whose class encodes in another way."""
    from transformers import PreTrainedTokenizerFast

    kind, base = type(tokenizer), PreTrainedTokenizerFast
    methods = ("__call__", "_encode_plus")
    if not isinstance(tokenizer, base) or any(
        getattr(kind, method) is not getattr(base, method) for method in methods
    ):
        return None
    backend = tokenizer.backend_tokenizer

    def encode(texts: list[str], has_offsets: bool) -> list[Any]:
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        call = backend.encode_batch if has_offsets else backend.encode_batch_fast
        encodings: list[Any] = call(texts, add_special_tokens=False)
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


def _encode_by_prefixes(tokenizer: Any, batch: Sequence[Text], longest: int) -> TokenBatch:
    """Encode with a tokenizer that has no offsets: the tokens of the text up to each end of a target span
    must equal the first tokens of the full text."""

    def ids_of(part: str) -> list[int]:
        return list(tokenizer(part, add_special_tokens=False)["input_ids"])

    every, lengths, targets, faults = list[int](), list[int](), list[bool](), dict[int, str]()
    for place, text in enumerate(batch):
        ids = ids_of(text.text)
        own = np.zeros(len(ids), bool)
        for span in text.spans:
            begin, end = (ids_of(text.text[:at]) for at in span)
            if ids[: len(begin)] != begin or ids[: len(end)] != end:
                faults[place] = UNLOCATED
                break
            own[len(begin) : len(end)] = True
        every += ids
        targets += own.tolist()
        lengths.append(len(ids))
    is_cut = [length > longest for length in lengths]
    found = TokenBatch.of(np.array(every, np.int32), np.array(targets, bool), lengths, is_cut, faults)
    return found.shorten(longest)
