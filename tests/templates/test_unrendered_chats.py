"""Chats that are filled into a known frame have the text and spans that rendering them gives."""

from __future__ import annotations

import random

import pytest

from core.train.data import chat_render_cache
from core.train.data.batches import plain_chats
from core.train.data.batches.plain_chats import RawChat
from core.train.data.chat_spans import Chat
from tests.templates.field_templates import FIELDS, tokenizer

DRAW = random.Random(5)
WORDS = [
    "<think>", "</think>", "é", "日本", "x\ny", "  pad", "pad  ", "<tool_response>", '"q"', "none", "a&b",
    "{{x}}", "%s", "IMPORTANT", "0",
]  # fmt: skip
READ_IN_ANOTHER_WAY = [
    "{{ m.content | tojson }}", "{{ m.content | upper }}", "{{ m.content[1:] }}", "{{ m.content.title() }}",
    "{% if m.content | length > 20 %}long{% endif %}{{ m.content }}",
    "{{ m.content.split(' ')[-1] }}", "{% if m.content > 'b' %}z{% endif %}{{ m.content }}",
    "{{ m.content if m.content in ['none', '0'] else 'some' }}{{ m.content }}",
    "{% if 'IMP' in 'x' + m.content %}!{% endif %}{{ m.content }}",
    "{% set c %}{{ m.content }}{% endset %}{% if '%s' in c %}?{% endif %}{{ c }}",
    "{% if '%s' in 'x' ~ m.content %}?{% endif %}{{ m.content }}",
    "{% macro f(c) %}{{ c }}{% endmacro %}{% if '%s' in f(m.content) %}?{% endif %}{{ m.content }}",
    "{{ m.content.replace('%s', 'x') }}", "{{ m.content.strip('a') }}", "{{ [m.content] | tojson }}",
    "{% if m.content.startswith('none') or m.content.endswith('0') %}!{% endif %}{{ m.content | trim }}",
    "{% if m.content == 'none' %}!{% endif %}{{ m.content }}",
    "{% if 'none' in m.content %}!{% endif %}{{ m.content }}",
]  # fmt: skip


def text():
    words = [DRAW.choice(("alpha", "beta", "none", "0")) for _ in range(DRAW.randint(1, 6))]
    if DRAW.random() < 0.4:
        words.insert(DRAW.choice((0, len(words))), DRAW.choice(WORDS))
    return " ".join(words)


def chats(count=60):
    for _ in range(count):
        said = DRAW.choice((2, 2, 4))
        yield [{"role": ("user", "assistant")[at % 2], "content": text()} for at in range(said)]


def agree(known, monkeypatch):
    """Whether both ways give the same for many chats; returns how many were filled in."""
    monkeypatch.setattr(chat_render_cache, "CHECKED", 0)
    filled, drawn = [], list(chats())
    filling = chat_render_cache.Frames.fill

    def counted(self, shape, turns):
        found = filling(self, shape, turns)
        filled.append(found is not None)
        return found

    monkeypatch.setattr(chat_render_cache.Frames, "fill", counted)
    fast = Chat(known)
    got = [fast.read(turns) for turns in drawn]
    monkeypatch.setattr(chat_render_cache.Frames, "fill", lambda *_: None)
    slow = Chat(known)
    expected = [slow.read(turns) for turns in drawn]
    assert got == expected
    many = fast.fill_many([RawChat(turns) for turns in drawn])
    assert all(text in (None, wanted) for text, wanted in zip(many, expected, strict=True))
    return sum(filled), sum(text is not None for text in many)


@pytest.mark.parametrize("name", list(FIELDS))
def test_every_template_gives_the_same_with_and_without_rendering(name, monkeypatch):
    filled, at_once = agree(tokenizer("bytes", name), monkeypatch)
    rendered = ("deepseek-r1", "deepseek-v3.1", "gemma-4", "generation-marks", "smollm3")
    assert (filled > 20) is (at_once > 15) is (name not in rendered)


@pytest.mark.parametrize("body", READ_IN_ANOTHER_WAY)
def test_a_template_that_reads_the_text_of_a_turn_is_rendered(body, monkeypatch):
    known = tokenizer("bytes", "chatml")
    known.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n" + body + "<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    try:
        agree(known, monkeypatch)
    finally:
        tokenizer.cache_clear()


def test_a_frame_that_one_chat_refutes_is_used_no_more():
    frame = chat_render_cache.Frame.of(("a", "b"), ((0, 1, 1),), ((),))
    frames, shape, turns = (
        chat_render_cache.Frames(),
        (0, ("assistant",)),
        [{"role": "assistant", "content": "x"}],
    )
    frames._frames[shape] = frame
    assert frames.find_spans(shape, turns, "axb") == ((0, 3),)
    assert frames.find_spans(shape, turns, "aXb") is None
    assert frames._frames[shape].asked is None


ODD = [
    None, [], "text", [{"role": "user"}], [{"role": "assistant", "content": None}], [["role", "content"]],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "\ud800"}],
    [{"role": "user", "content": "a <|im_end|>"}, {"role": "assistant", "content": "b"}],
    [{"role": 1, "content": "a"}, {"role": "assistant", "content": "b"}],
]  # fmt: skip


def test_odd_rows_among_plain_ones_are_left_to_be_read_by_themselves(monkeypatch):
    monkeypatch.setattr(chat_render_cache, "CHECKED", 0)
    chat = Chat(tokenizer("bytes", "chatml"))
    plain = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    wanted = [chat.read(plain) for _ in range(3)][-1]
    drawn = [RawChat(each) for odd in ODD for each in (odd, plain)] + [RawChat(plain, [{"name": "f"}])]
    many = chat.fill_many(drawn)
    assert many == [None, wanted] * len(ODD) + [None]
    assert chat.fill_many([RawChat(plain, None, 1)]) == [None], "another shape: nothing is known of it"


def test_one_chat_in_so_many_is_rendered_all_the_same(monkeypatch):
    monkeypatch.setattr(chat_render_cache, "CHECKED", 0)
    monkeypatch.setattr(chat_render_cache, "EVERY", 5)
    chat, rendered = Chat(tokenizer("bytes", "chatml")), []
    plain = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for _ in range(3):
        chat.read(plain)
    apply = Chat._apply
    monkeypatch.setattr(Chat, "_apply", lambda self, *more: rendered.append(1) or apply(self, *more))
    for _ in range(4):
        for text in chat.fill_many([RawChat(plain)] * 5):
            assert (text or chat.read(plain)).text.count("<|im_end|>") == 2
    assert len(rendered) == 4
    assert plain_chats.fill_chats(chat._frames, [], str.isspace) == []
