"""Finds the target tokens of ASCII texts from the lengths of their tokens, for many texts at once.

A byte-level tokenizer writes every byte of a text into one of its tokens: where the lengths of a text's
tokens add up to its own, the next token begins where the one before ends, and no offsets are needed. These
are objects, and cost more than all else that is done with a row's tokens.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.train.data.chat_render_cache import Span

Array = np.ndarray[Any, np.dtype[Any]]
UNKNOWN, NEVER = -1, 1 << 40  # a length that is not known yet; one that no text has
KEEPING = {"Split", "Digits"}  # pre-tokenizers that cut a text, besides ByteLevel


class ByteTokens:
    """The tokens of one tokenizer, by the bytes that they stand for."""

    def __init__(self, backend: Any, control: Array) -> None:
        """``control``: the sorted ids of the control tokens."""
        self._backend, self._control = backend, control
        self._alphabet = _find_alphabet()
        self._added = {number: token.content for number, token in backend.get_added_tokens_decoder().items()}
        self._lengths = np.full(max(backend.get_vocab_size(), *self._added, 0) + 1, UNKNOWN, np.int64)
        self._unknown = backend.model.unk_token

    def find_targets(
        self, ids: Array, ends: Array, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Array | None:
        """Return which tokens have a character of a span of their text, as (N,) bool. ``ids``, (N,) int32,
        are the tokens of all texts, ``ends``, (R,) int64, where those of each end. None if the tokens of a
        text do not add up to it."""
        places = np.concatenate(([0], np.cumsum(self._measure(ids))))
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        begins = places[np.concatenate(([0], ends[:-1])).astype(np.int64)]
        if not np.array_equal(places[ends] - begins, sizes):
            return None
        rows = np.repeat(np.arange(len(texts)), [len(each) for each in spans])
        edges = np.array([*itertools.chain.from_iterable(spans)], np.int64).reshape(-1, 2)
        starts, stops = (edges + begins[rows, None]).T
        first = np.searchsorted(places, starts, "right") - 1
        last = np.searchsorted(places, stops - 1, "right") - 1
        for at in np.flatnonzero(places[last + 1] > stops):  # a token goes on behind the span
            begin = max(places[last[at]], starts[at]) - begins[rows[at]]
            last[at] -= texts[rows[at]][begin : edges[at, 1]].isspace()
        first += np.isin(ids[first], self._control) & (places[first] < starts)
        until, count = np.maximum(last + 1, first), len(ids) + 1
        changes = np.bincount(first, minlength=count) - np.bincount(until, minlength=count)
        targets: Array = np.cumsum(changes[:-1]) > 0
        return targets

    def _measure(self, ids: Array) -> Array:
        """The bytes of each token."""
        lengths = self._lengths[ids]
        if (lengths == UNKNOWN).any():
            for number in np.unique(ids[lengths == UNKNOWN]).tolist():
                self._lengths[number] = self._find_length(number)
            lengths = self._lengths[ids]
        return lengths

    def _find_length(self, number: int) -> int:
        if number in self._added:
            content = self._added[number]
            return NEVER if content == self._unknown else len(content.encode())
        token = self._backend.id_to_token(number)
        is_known = token is not None and token != self._unknown and self._alphabet.issuperset(token)
        return len(token) if is_known else NEVER


def find_byte_tokens(backend: Any, control: Array) -> ByteTokens | None:
    """The tokens of a tokenizer that changes no character of an ASCII text; None for another."""
    from tokenizers.models import BPE
    from tokenizers.normalizers import NFC

    if not hasattr(backend, "encode_batch_fast") or not hasattr(backend, "get_added_tokens_decoder"):
        return None
    model, normalizer = backend.model, backend.normalizer
    if not isinstance(model, BPE) or not (normalizer is None or isinstance(normalizer, NFC)):
        return None
    if model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix or model.byte_fallback:
        return None
    return ByteTokens(backend, control) if _keeps_bytes(backend.pre_tokenizer) else None


def _keeps_bytes(pre_tokenizer: Any) -> bool:
    if pre_tokenizer is None:
        return False
    described = json.loads(pre_tokenizer.__getstate__())
    *others, last = described.get("pretokenizers") or [described]
    return (
        last.get("type") == "ByteLevel"
        and last.get("add_prefix_space") is False
        and all(each.get("type") in KEEPING for each in others)
    )


def _find_alphabet() -> frozenset[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return frozenset(ByteLevel.alphabet())
