"""What is learnt of a chat, for the templates of the field: the answers' tokens of the whole rendering.

The expected tokens do not come from trimtab's code: each template renders a chat whose turns are words that
occur nowhere else, which shows where it puts each turn; the whole text is tokenised once by the tokenizers
library, and a token is expected to be learnt when it has a character of an answer's range.
"""

from __future__ import annotations

from typing import Any

import pytest

from core.train.data.chat_spans import Chat
from core.train.data.target_token_encoder import Encoder
from tests.matrix import rest_slow
from tests.templates.field_templates import FIELDS, FOLDER, KINDS, Field, tokenizer

Range = tuple[int, int]
SAID = [
    ("read the file", "open path"),
    ("read the file", "open path", "yes or no", "yes"),
    ("user", "user", "assistant", "assistant", "im", "im"),  # words that stand in tags, too
    ("a", "s", "[", "[", "model", "final", "|", "|"),
    ("yes", "yes", "yes", "yes"),
    ("é日?", "日 é\n\nx", "<think>", "user"),
    ("  a ", " 1. a\n2. b ", "x", "\n\nfinal\n"),
]


def turns(said: tuple[str, ...], system: str = "") -> list[dict[str, Any]]:
    """A chat of a user and an assistant in turn, after a system prompt if there is one."""
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


def expected(known: Any, field: Field, said: tuple[str, ...], system: str) -> tuple[str, list[Range]]:
    """The whole text and the ranges of its answers, from where the template puts words that occur once."""
    words = [f"Wq{at}zW" for at in range(len(said))]
    frame = known.apply_chat_template(turns(tuple(words), system), tokenize=False)
    text, ranges, at = "", list[Range](), 0
    for number, (word, content) in enumerate(zip(words, said, strict=True)):
        assert frame.count(word) == 1, "the template shows each turn once"
        place = frame.index(word)
        text += frame[at:place]
        begin, at = len(text), place + len(word)
        text += content.strip() if field.trims == "all" or (number % 2 and field.trims) else content
        if number % 2:
            opening, _, ending = (field.last if number == len(said) - 1 else field.later).partition("{}")
            assert frame[:place].endswith(opening) and frame[at:].startswith(ending)
            ranges.append((begin - len(opening), len(text) + len(ending)))
    return text + frame[at:], ranges


def tokenised(known: Any, text: str, ranges: list[Range]) -> tuple[list[int], list[bool]]:
    """The tokens of the whole text, and which are an answer's: a control token belongs to the text in which
    it begins, and a space behind the stop token belongs to the next turn if that is its token."""
    whole = known.backend_tokenizer.encode(text, add_special_tokens=False)
    control = set(known.added_tokens_decoder)
    learnt = []
    for token, (begin, end) in zip(whole.ids, whole.offsets, strict=True):
        touched = [
            (a, b) for a, b in ranges if begin < b and end > a and (token not in control or begin >= a)
        ]
        learnt.append(any(end <= b or text[begin:b].strip() for _, b in touched))
    return whole.ids, learnt


def test_every_template_has_its_description():
    assert {path.stem for path in FOLDER.glob("*.jinja")} == set(FIELDS)


@pytest.mark.parametrize("kind", rest_slow(KINDS))
@pytest.mark.parametrize("name", list(FIELDS))
def test_the_learnt_tokens_are_those_of_the_whole_rendering(name, kind):
    field, known = FIELDS[name], tokenizer(kind, name)
    for system in ("", "be kind") if field.system else ("",):
        for said in SAID:
            if name.startswith("smollm3") or name.startswith("qwen-3"):
                said = tuple(text.lstrip("\n") for text in said)
            text, ranges = expected(known, field, said, system)
            chat = Chat(known)
            found = chat.read(turns(said, system))
            assert [chat.read(turns(said, system)) for _ in range(2)] == [found] * 2, (
                "a chat of a known shape"
            )
            assert found.text == text == known.apply_chat_template(turns(said, system), tokenize=False)
            assert [text[a:b] for a, b in found.spans] == [text[a:b] for a, b in ranges], said
            assert list(found.spans) == ranges and found.missed == ()
            (got,) = Encoder(known).encode([found], 10_000)
            ids, learnt = tokenised(known, text, ranges)
            assert list(got.ids) == ids and list(got.targets) == learnt, (said, system)


@pytest.mark.parametrize("name", list(FIELDS))
def test_each_answer_ends_with_its_stop_token_and_bos_occurs_as_often_as_the_template_writes_it(name):
    field, known = FIELDS[name], tokenizer("bytes", name)
    said = ("read the file", "open path", "yes or no", "yes")
    found = Chat(known).read(turns(said))
    (got,) = Encoder(known).encode([found], 10_000)
    learnt = [token for token, target in zip(got.ids, got.targets, strict=True) if target]
    last, *later = (known.convert_tokens_to_ids(token) for token in (field.stop, field.later.rstrip()[-12:]))
    stops = [token for token in learnt if token in (last, known.eos_token_id, *later)]
    assert len([token for token in learnt if token == last]) == (1 if name == "gpt-oss" else 2), stops
    assert known.bos_token_id not in list(got.ids)[1:2], "BOS is not doubled"
    if field.bos != field.eos:
        assert list(got.ids).count(known.bos_token_id) == found.text.count(field.bos)
        assert found.text.count(field.bos) <= (2 if name == "llama-2" else 1)  # Llama 2: before each question
