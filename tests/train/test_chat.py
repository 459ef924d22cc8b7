"""What is learnt of a chat, and what is told of the rest; tests/templates has the templates of the field."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from core.data.readers.row_values import UnusableRow
from core.train.data.chat_spans import Chat, Text
from core.train.data.target_token_encoder import Encoder, find_targets
from tests.templates.field_templates import FIELDS, source, tokenizer

CHATML, THINKS = source("chatml"), source("qwen-3")


def turns(*said: str) -> list[dict]:
    """Of a user and an assistant, one after the other."""
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


def of(kind: str, template: str):
    known = copy.copy(tokenizer(kind, "chatml"))
    known.chat_template = template
    return known


@pytest.mark.parametrize("name", list(FIELDS))
def test_an_answer_begins_where_the_template_asks_for_it(name):
    """Not in a tag and not in the user's words: the text before is a prompt that ends the user's turn."""
    one = tokenizer("bytes", name)
    said = turns("user", "user", "assistant", "assistant")
    found = Chat(one).read(said)
    asked = one.apply_chat_template(said[:3], tokenize=False, add_generation_prompt=True)
    head = found.text[: found.spans[1][0]]
    assert asked.startswith(head) and asked[len(head) :] in ("", "<think>\n", "<|channel>thought\n<channel|>")


def test_thoughts_that_a_template_drops_are_told_and_the_answer_is_learnt():
    said = turns("q", "<think>t1</think>a1", "q", "<think>t2</think>a2")
    found = Chat(of("bytes", THINKS)).read(said)
    learns = [found.text[a:b] for a, b in found.spans]
    assert learns == ["a1<|im_end|>", "<think>\nt2\n</think>\n\na2<|im_end|>\n"]
    assert "omits the thoughts of answers" in found.remarks[0]


def test_empty_answers_and_those_of_weight_0_are_not_learnt_and_told():
    said = turns("a", "", "b", "two", "c", "three")
    said[3]["weight"], said[5]["weight"] = 0, 1
    found = Chat(of("bytes", CHATML)).read(said)
    assert [found.text[a:b] for a, b in found.spans] == ["three<|im_end|>\n"]
    assert found.missed == ("empty", "weight 0") and "weight" not in found.text
    with pytest.raises(UnusableRow, match="no answer can be trained on: empty"):
        Chat(of("bytes", CHATML)).read(turns("a", " "))
    with pytest.raises(UnusableRow, match=r"the weight 0\.5"):
        Chat(of("bytes", CHATML)).read([{"role": "assistant", "content": "a", "weight": 0.5}])


def test_a_control_token_in_anybodys_words_is_no_control_token():
    for said in (("close <|im_end|>", "yes"), ("a", "yes<s>")):
        with pytest.raises(UnusableRow, match="contains the control token"):
            Chat(of("bytes", CHATML)).read(turns(*said))
    assert Chat(of("bytes", CHATML)).read(turns("a", "<think>b</think>c")).spans


def test_a_chat_without_an_answer_says_so():
    with pytest.raises(UnusableRow, match="no turn has the role assistant"):
        Chat(of("bytes", CHATML)).read(turns("read"))


CALLS = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_tools_are_given_to_the_template_and_calls_are_learnt(content):
    said = [{"role": "user", "content": "w"}, {"role": "assistant", **content, "tool_calls": [CALL]}]
    said += [{"role": "tool", "content": "5 C"}, {"role": "assistant", "content": "It is 5 C"}]
    found = Chat(of("bytes", CALLS)).read(said, [{"type": "function"}])
    assert found.text.startswith('<|im_start|>system\n[{"type": "function"}]')
    learns = [found.text[a:b] for a, b in found.spans]
    assert learns[0].startswith('<call>{"name": "weather"') and learns[1] == "It is 5 C<|im_end|>\n"
    assert "None" not in found.text and not found.remarks


def test_a_template_without_room_for_tools_or_calls_is_told():
    said = [{"role": "user", "content": "w"}, {"role": "assistant", "tool_calls": [CALL]}]
    with pytest.raises(UnusableRow, match="omits tool calls"):
        Chat(of("bytes", CHATML)).read(said)
    assert Chat(of("bytes", CHATML)).read(turns("a", "b"), [{"x": 1}]).remarks == (
        "the chat template omits the tools",
    )
    deaf = CHATML.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    heard = Chat(of("bytes", deaf)).read([{"role": "system", "content": "be kind"}, *turns("a", "b")])
    assert heard.remarks == ("the chat template omits a turn of the system",)


def test_parts_of_text_are_joined_and_others_refused():
    parts = [{"type": "text", "text": "join "}, {"type": "text", "text": "a"}]
    found = Chat(of("bytes", CHATML)).read([{"role": "user", "content": parts}, *turns("", "b")[1:]])
    assert "user\njoin a<|im_end|>" in found.text
    with pytest.raises(UnusableRow, match="a part of type 'image'"):
        Chat(of("bytes", CHATML)).read([{"role": "user", "content": [{"type": "image"}]}])


@pytest.mark.parametrize(
    ("offsets", "spans", "learnt"),
    [
        ([(0, 4), (5, 8), (9, 9), (9, 10)], [(4, 9)], [False, True, True, False]),
        ([(0, 3), (3, 4), (3, 4), (4, 4), (4, 6)], [(3, 4), (4, 5)], [False, True, True, True, True]),
    ],
)
def test_offsets_that_leave_spaces_out_are_filled(offsets, spans, learnt):
    text = Text("x" * 12, tuple(spans))
    assert find_targets(offsets, text, np.zeros(len(offsets), bool)).tolist() == learnt


class Slow:
    """Without offsets, as tokenizers in Python are; ``merges``: "ab" is one token."""

    is_fast = False

    def __init__(self, merges: bool = False) -> None:
        self._merges = merges

    def __call__(self, text: str, **_: object) -> dict:
        return {"input_ids": [ord(one) for one in (text.replace("ab", "x") if self._merges else text)]}


def test_a_tokenizer_without_offsets_compares_prefixes_or_refuses():
    text = Text("qabc", ((2, 4),))
    (found,) = Encoder(Slow()).encode([text], 100)
    assert found.targets.tolist() == [False, False, True, True]
    (refused,) = Encoder(Slow(merges=True)).encode([text], 100)
    assert "cannot be located" in refused.faults[0]


def test_a_text_of_megabytes_is_cut_before_it_is_tokenised():
    seen: list[int] = []
    one = of("bytes", CHATML)

    class Watched:
        is_fast = True

        def __call__(self, texts, **more):
            seen.append(sum(map(len, texts)))
            return one(texts, **more)

    long = "read the file " * 20_000
    (cut,) = Encoder(Watched()).encode([Text(long, ((0, len(long)),))], 100)
    assert cut.is_cut.tolist() == [True] and len(cut.ids) == 100 and max(seen) < 10_000
    assert cut.ids.tolist() == one(long[:5000], add_special_tokens=False)["input_ids"][:100]
