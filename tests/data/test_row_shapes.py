"""Each shape that data sets come in is read without settings, and what is learnt of it is told."""

from __future__ import annotations

import json

import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.formats.numbers_as_written import ClassNumber
from core.data.readers import row_texts
from core.data.readers.row_shape import KEPT
from core.data.readers.shaped_rows import ShapedRows
from core.errors import TrimtabError

ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CHAT = {"messages": [ASKED, ANSWERED]}
PAIR = {"prompt": "q", "completion": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOL = {"name": "f", "description": "d"}


def shaped(*rows, **options) -> ShapedRows:
    return ShapedRows(rows, DataOptions(**options), "data.source = 'a'")


def first(*rows, **options):
    """The first row as it is trained on, without the columns that serve other ends."""
    row = next(iter(shaped(*rows, **options)))
    return {name: value for name, value in row.items() if name not in KEPT}


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (CHAT, CHAT),
        ({"messages": json.dumps([ASKED, ANSWERED])}, CHAT),
        ({"conversations": [HUMAN, GPT]}, CHAT),
        ({"conversation": [ASKED, ANSWERED]}, CHAT),
        ({"conversations": [HUMAN, GPT], "system": "s"},
         {"messages": [{"role": "system", "content": "s"}, ASKED, ANSWERED]}),
        ({"messages": [ASKED, ANSWERED], "tools": [TOOL]}, CHAT | {"tools": [TOOL]}),
        ({"messages": [ASKED, ANSWERED], "tools": json.dumps([TOOL])}, CHAT | {"tools": [TOOL]}),
        ({"messages": [ASKED, ANSWERED], "functions": [TOOL]},
         CHAT | {"tools": [{"type": "function", "function": TOOL}]}),
        (PAIR, PAIR),
        ({"prompt": 1, "completion": 2.5}, {"prompt": "1", "completion": "2.5"}),
        ({"Prompt ": "q", "Completion": "a"}, PAIR),
        ({"instruction": "q", "output": "a"}, PAIR),
        ({"instruction": "q", "input": "i", "output": "a"}, {"prompt": "q\n\ni", "completion": "a"}),
        ({"instruction": "q", "input": "", "output": "a"}, PAIR),
        ({"instruction": "q", "context": "i", "response": "a"}, {"prompt": "q\n\ni", "completion": "a"}),
        ({"instruction": "q", "output": "a", "history": [["x", "y"]]},
         {"prompt": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, ASKED],
          "completion": [ANSWERED]}),
        ({"question": "q", "answer": "a"}, PAIR),
        ({"question": "q", "context": "i", "answer": "a"}, {"prompt": "q\n\ni", "completion": "a"}),
        ({"system_prompt": "s", "question": "q", "response": "a"}, PAIR | {"system": "s"}),
        ({"query": "q", "response": "a"}, PAIR),
        ({"problem": "q", "solution": "a", "answer": "7"}, PAIR),
        ({"input": "q", "output": "a"}, PAIR),
        ({"prompt": [ASKED], "completion": [ANSWERED]}, {"prompt": [ASKED], "completion": [ANSWERED]}),
        ({"prompt": [ASKED], "completion": "a"}, {"prompt": [ASKED], "completion": [ANSWERED]}),
        ({"prompt": "q", "completion": [ANSWERED]}, {"prompt": [ASKED], "completion": [ANSWERED]}),
        ({"text": "t"}, {"text": "t"}),
        ({"content": "t", "url": "u"}, {"text": "t"}),
        ({"text": "q", "label": "a"}, PAIR),
        ({"sentence": "q", "label": 3}, {"prompt": "q", "completion": "3"}),
        ({"text": "q", "label": ClassNumber(1, ["z", "a"])}, PAIR),
        ({"text": "q", "label": 1, "label_text": "a"}, PAIR),
    ],
)  # fmt: skip
def test_a_row_of_any_shape_has_one_form(raw, canonical):
    assert first(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "prompt", "completion"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "q", "a"),
        ({"question": "q", "chosen": "a", "rejected": "b"}, "q", "a"),
        ({"prompt": "q", "chosen": [ASKED, ANSWERED], "rejected": [ASKED, GPT]}, [ASKED], [ANSWERED]),
        ({"chosen": [ASKED, ANSWERED], "rejected": [ASKED, GPT | {"value": "b"}]}, [ASKED], [ANSWERED]),
        ({"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [GPT]}, [ASKED], [ANSWERED]),
        ({"prompt": "q", "chosen": [ANSWERED], "rejected": [GPT]}, [ASKED], [ANSWERED]),
        ({"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, [ASKED], [ANSWERED]),
        ({"input": {"messages": [ASKED]}, "preferred_output": [ANSWERED], "non_preferred_output": [GPT]},
         [ASKED], [ANSWERED]),
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
         [ASKED], [ANSWERED]),
        ({"chosen": "Sea is blue.", "rejected": "Sea is black."}, "Sea is ", "blue."),
        ({"prompt": "q", "messages": [ASKED, ANSWERED], "chosen": [ASKED, ANSWERED], "rejected": [ASKED]},
         [ASKED], [ANSWERED]),
    ],
)  # fmt: skip
def test_the_chosen_answer_of_a_preference_pair_is_learnt(raw, prompt, completion):
    assert first(raw) == {"prompt": prompt, "completion": completion}
    assert "as in SFT" in shaped(raw).notes[0]


def test_earlier_turns_that_both_answers_share_are_not_learnt():
    turns = [ASKED, ANSWERED, {"role": "user", "content": "more"}]
    row = first({"chosen": [*turns, ANSWERED], "rejected": [*turns, GPT]})
    assert (row["prompt"], row["completion"]) == (turns, [ANSWERED])


@pytest.mark.parametrize(
    ("name", "role"),
    [("human", "user"), ("USER", "user"), ("prompter", "user"), ("gpt", "assistant"),
     ("chatgpt", "assistant"),
     ("bing", "assistant"), ("bard", "assistant"), ("model", "assistant"), ("Assistant", "assistant"),
     ("system", "system"), ("tool", "tool"), ("observation", "tool"), ("function", "tool"),
     ("tool_response", "tool"), ("developer", "developer")],
)  # fmt: skip
def test_roles_have_many_names(name, role):
    turns = first({"conversations": [{"from": name, "value": "x"}, GPT]})["messages"]
    assert turns[0] == {"role": role, "content": "x"}


def test_calls_of_tools_are_calls_whatever_they_are_called():
    told = json.dumps({"name": "f", "arguments": {"x": 1}})
    turns = [HUMAN, {"from": "function_call", "value": told}, {"from": "observation", "value": "7"}, GPT]
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert first({"conversations": turns})["messages"][1:3] == [called, {"role": "tool", "content": "7"}]
    old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    turn = first({"messages": [ASKED, old]})["messages"][1]
    assert turn["tool_calls"] == [{"type": "function", "function": old["function_call"]}]
    prose = [HUMAN, {"from": "function_call", "value": "no JSON"}]
    assert first({"conversations": prose})["messages"][1]["content"] == "no JSON"


def test_all_turns_from_where_two_answers_differ_are_learnt():
    later = [{"role": "user", "content": "q2"}, {"role": "assistant", "content": "a2"}]
    other = {"role": "assistant", "content": "b"}
    row = first({"chosen": [ASKED, ANSWERED, *later], "rejected": [ASKED, other, *later]})
    assert (row["prompt"], row["completion"]) == ([ASKED], [ANSWERED, *later])


def test_a_system_prompt_of_the_chat_itself_is_not_joined_by_that_of_a_column():
    own = {"role": "system", "content": "own"}
    assert first({"messages": [own, ASKED, ANSWERED], "system": "s"}) == {"messages": [own, ASKED, ANSWERED]}


def test_one_odd_row_does_not_decide_how_the_others_are_read():
    found = shaped(PAIR | CHAT, *[PAIR] * 9)
    assert list(found) == [PAIR] * 10


def test_only_answers_that_kto_calls_wanted_are_learnt_and_the_others_are_counted():
    rows = [PAIR | {"label": True}, PAIR | {"label": False}, PAIR | {"label": True}]
    found = shaped(*rows)
    assert found.notes == ["read as KTO: only rows whose 'label' is true are learnt"]
    assert [row.get("unusable") for row in found] == [
        None,
        "label is false: only answers labelled true are learnt",
        None,
    ]
    assert first(CHAT | {"kto_tag": "False"}, CHAT | {"kto_tag": "True"})["unusable"].startswith(
        "kto_tag is false"
    )
    assert first(PAIR | {"label": 0}) == PAIR, "a number says nothing about an answer"


def test_a_class_without_a_name_is_no_answer():
    rows = [{"text": "q", "label": ClassNumber(at, ["z", "a"])} for at in (0, -1)]
    assert [row.get("unusable") for row in shaped(*rows)] == [None, "label is -1, which is no class"]
    assert "classes have no names" in shaped({"text": "q", "label": 0}).notes[0]


def test_the_study_file_has_the_last_word():
    row = {
        "text": "t",
        "label": "l",
        "prompt": "q",
        "completion": "a",
        "messages": [ASKED, ANSWERED],
        "x": "y",
    }
    assert first(row) == CHAT
    assert first(row, format="instruction") == PAIR
    assert first(row, format="text") == {"text": "t"}
    assert first(row, text_key="x") == {"text": "y"}
    assert first(row, completion_key="x") == {"prompt": "q", "completion": "y"}
    assert first(row, prompt_key="x") == {"prompt": "y", "completion": "a"}
    assert first({"q": "q", "answer": "a"}, prompt_key="q") == PAIR
    assert first({"chosen": "x", "rejected": "y", **PAIR}, completion_key="rejected")["completion"] == "y"


def test_what_was_guessed_and_what_is_not_used_is_told():
    found = shaped({"conversations": [HUMAN, GPT], "id": 7, "group": "g", "empty": None})
    assert found.notes == ["read as ShareGPT: the column 'conversations' has turns with from and value"]
    assert found.unused == ["id"]
    told = shaped({"instruction": "q", "input": "i", "output": "a"}).notes
    assert told == [
        "read as Alpaca: the column 'instruction' asks, 'output' is learnt",
        "the column 'input' is appended to the prompt",
    ]
    assert shaped(PAIR).notes == shaped(CHAT).notes == shaped({"text": "t"}).notes == []


def test_the_shape_is_that_of_most_rows_and_the_others_have_a_reason():
    rows = [{"text": "t"}] * 3 + [PAIR] * 5
    assert [row.get("unusable") for row in shaped(*rows)] == ["no prompt"] * 3 + [None] * 5


def test_columns_that_first_come_after_the_sample_are_used():
    rows = [{"instruction": "q", "output": "a"}] * 300 + [{"instruction": "q", "input": "i", "output": "a"}]
    assert list(shaped(*rows))[-1]["prompt"] == "q\n\ni"
    assert list(shaped(*[CHAT] * 300, CHAT | {"tools": [TOOL]}))[-1]["tools"] == [TOOL]


@pytest.mark.parametrize(
    ("row", "options", "columns", "fix"),
    [
        ({"prompt_text": "a", "reply": "b", "n": 1}, {}, "prompt_text, reply, n",
         "prompt_key = 'prompt_text' and completion_key = 'reply'"),
        ({"frage": "a", "antwort": "b", "answer": "c"}, {}, "frage",
         "prompt_key = 'frage' and completion_key = 'answer'"),
        ({"frage": "a"}, {}, "frage", "text_key = 'frage'"),
        ({"thread": [ASKED, ANSWERED]}, {}, "thread", "messages_key = 'thread'"),
        ({"body_text": "a"}, {"text_key": "bodytext"}, "data.text_key = 'bodytext'; .*: body_text",
         "text_key = 'body_text'"),
        ({"question": "q", "choices": ["x", "y"], "answer": 0}, {}, "question, choices, answer",
         "prompt_key = 'question' and"),
        ({"text": "t"}, {"format": "chat"}, "cannot be read as 'chat'; .*: text", "text"),
        ({"a": None, "b": {}}, {}, "a, b", "name the columns with data.messages_key"),
    ],
)  # fmt: skip
def test_rows_of_no_known_shape_are_one_error_with_the_columns_and_the_nearest_key(
    row, options, columns, fix
):
    with pytest.raises(TrimtabError, match=columns) as caught:
        shaped(row, row, **options)
    (problem,) = caught.value.problems
    assert problem.where == "data.source = 'a'" and fix in problem.fix and "\n" not in problem.what


def test_turns_are_left_out_by_weight_and_by_train():
    turns = [
        ASKED,
        ANSWERED | {"train": False},
        ASKED,
        ANSWERED | {"content": "b", "train": True, "weight": 1},
    ]
    row, _ = row_texts.split({"messages": turns}, 1)
    assert row.answers == ("b",) and row.context == ("q", "a", "q")
    with pytest.raises(row_texts.UnusableRow, match="train = maybe, which must be true or false"):
        row_texts.split({"messages": [ASKED, ANSWERED | {"train": "maybe"}]}, 1)
