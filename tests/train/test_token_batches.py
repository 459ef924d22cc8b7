"""Rows that are tokenised many at once have the tokens, targets and places of single ones."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from core.data.cache.token_arrays import (
    COLUMNS,
    CUT,
    END,
    FIRST,
    INDEX,
    MASKED,
    NO_TARGET,
    SLICES,
    PartBuilder,
)
from core.train.data.batches.token_batch import TokenBatch
from core.train.data.chat_spans import Chat, Text
from core.train.data.target_token_encoder import Encoder, find_byte_tokens
from tests.matrix import rest_slow
from tests.templates.field_templates import tokenizer

WORDS = [
    "read", "the", "file", "user", "assistant", "yes", "no", "", "\n\n", "question", "1.", ":)", "é", "日本",
    "'ll", "don't", "\t", "<|im_end|>", "<|im_start|>user\n",
]  # fmt: skip
APART = 13  # characters between two answers: no token touches both


def draw_texts(count, seed):
    draw, texts = random.Random(seed), []
    for _ in range(count):
        ascii_only = draw.random() < 0.7
        words = [word for word in WORDS if word.isascii()] if ascii_only else WORDS
        text = " ".join(draw.choices(words, k=draw.randint(1, 30)))
        edges = sorted(draw.sample(range(len(text) + 1), min(4, len(text) + 1)))
        spans = list(zip(edges[::2], edges[1::2], strict=False))
        is_apart = len(spans) < 2 or spans[1][0] - spans[0][1] >= APART
        texts.append(Text(text, tuple(spans if is_apart else spans[:1])))
    return texts


def changed(change):
    """The byte-level tokenizer of ChatML with a part that is another."""
    backend = type(known := tokenizer("bytes", "chatml").backend_tokenizer).from_str(known.to_str())
    change(backend)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|im_start|>", eos_token="<|im_end|>")


def set_part(name, value):
    return lambda backend: setattr(backend, name, value)


def split_and_write_bytes(behavior):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", behavior),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


TOKENIZERS = {
    "plain": changed(lambda backend: None),
    "NFC": changed(set_part("normalizer", normalizers.NFC())),
    "trimmed offsets": changed(set_part("post_processor", processors.ByteLevel(trim_offsets=True))),
    "splits at spaces": changed(set_part("pre_tokenizer", split_and_write_bytes("isolated"))),
    "drops spaces": changed(set_part("pre_tokenizer", split_and_write_bytes("removed"))),
    "swallows spaces": changed(
        lambda backend: backend.add_special_tokens([AddedToken("<|im_end|>", lstrip=True, rstrip=True)])
    ),
    "puts a space first": changed(set_part("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))),
    "lowers": changed(set_part("normalizer", normalizers.Lowercase())),
    "SentencePiece": tokenizer("first", "chatml"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("longest", rest_slow([7, 1000]))
def test_targets_found_from_the_lengths_of_tokens_are_those_found_from_offsets(name, longest):
    known, texts = TOKENIZERS[name], draw_texts(300, 1)
    fast, usual = Encoder(known), Encoder(known)
    usual._bytes = None
    assert (fast._bytes is not None) is (
        name in ("plain", "NFC", "trimmed offsets", "splits at spaces", "drops spaces", "swallows spaces")
    )
    for got, wanted in zip(fast.encode(texts, longest), usual.encode(texts, longest), strict=True):
        for each, other in zip(got[:4], wanted[:4], strict=True):
            assert each.tolist() == other.tolist()
    assert (fast._bytes is not None) is (name in ("plain", "NFC", "trimmed offsets", "splits at spaces"))


@pytest.mark.parametrize("longest", [1, 7])
def test_each_row_has_its_first_tokens_and_says_whether_there_are_more(longest):
    known, texts = TOKENIZERS["plain"], draw_texts(20, 2)
    (batch,) = Encoder(known).encode(texts, longest)
    for text, begin, end, is_cut in zip(texts, batch.begins, batch.ends, batch.is_cut, strict=True):
        whole = known(text.text, add_special_tokens=False)["input_ids"]
        assert batch.ids[begin:end].tolist() == whole[:longest] and is_cut == (len(whole) > longest)


@pytest.mark.parametrize("is_added", [True, False])
def test_a_tokenizer_that_has_a_token_for_what_it_does_not_know_is_not_measured_by_it(is_added):
    backend = Tokenizer(BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(["<unk>"] if is_added else [])
    measure = find_byte_tokens(backend, np.zeros(0, np.int32))
    ids = np.array([1, 0], np.int32)
    assert measure.find_targets(ids, np.array([2]), ["a12345"], [((0, 5),)]) is None


def add_singly(rows, first_token):
    """What PartBuilder holds, made row by row."""
    ids, labels, table, names = [], [], [], []
    for index, (own, targets, slices, cut) in rows:
        if first_token is not None and own[:1] != [first_token]:
            own, targets = [first_token, *own], [False, *targets]
        place = next((at for at, target in enumerate(targets) if target and at), NO_TARGET)
        ids += own
        labels += [token if target else MASKED for token, target in zip(own, targets, strict=True)]
        names += [slices] if slices not in names else []
        row = [0] * COLUMNS
        row[END], row[INDEX], row[FIRST], row[SLICES], row[CUT] = (
            len(ids),
            index,
            place,
            names.index(slices),
            cut,
        )
        table.append(row)
    return ids, labels, table, names


@pytest.mark.parametrize("first_token", [None, 3])
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_added_at_once_are_those_added_singly(seed, first_token):
    draw, part, expected, dropped = random.Random(seed), PartBuilder(99), [], []
    for begin in range(0, 30, 10):
        rows = []
        for _ in range(10):
            own = [draw.randint(1, 5) for _ in range(draw.choice((0, 1, 2, 5)))]
            slices = (f"source:{draw.randint(0, 2)}",)
            rows.append((own, [draw.random() < 0.4 for _ in own], slices, draw.random() < 0.2))
        faults = {4: "bad"} if begin == 10 else {}
        ids, targets = ([each for row in rows for each in row[part_]] for part_ in (0, 1))
        lengths = [len(row[0]) for row in rows]
        batch = TokenBatch.of(
            np.array(ids, np.int32), np.array(targets, bool), lengths, [r[3] for r in rows], faults
        )
        batch = batch if first_token is None else batch.begin_with(first_token)
        indices = list(range(2 * begin, 2 * begin + 10))
        part.add(
            indices, batch.ids, batch.targets, batch.ends, [row[2] for row in rows], batch.is_cut, faults
        )
        expected += [(indices[at], row) for at, row in enumerate(rows) if at not in faults]
        dropped += [[indices[at], 0] for at in faults]
    built = part.build()
    ids, labels, table, names = add_singly(expected, first_token)
    assert (built.ids.tolist(), built.labels.tolist(), built.rows.tolist()) == (ids, labels, table)
    assert built.notes.slices == names and built.dropped.tolist() == dropped and not built.find_fault()


def test_chats_are_marked_alike_whatever_the_tokenizer_knows_of_bytes():
    known = tokenizer("bytes", "qwen-3")
    said = ("read the file", "open path", "yes or no", "yes")
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
    text, fast, usual = Chat(known).read(turns), Encoder(known), Encoder(known)
    usual._bytes = None
    (got,), (wanted,) = fast.encode([text], 100), usual.encode([text], 100)
    assert got.targets.tolist() == wanted.targets.tolist() and fast._bytes is not None
