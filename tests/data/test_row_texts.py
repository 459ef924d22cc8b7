"""A row is split into context and learnt text as training does it, without a tokenizer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.readers import row_texts
from core.data.readers.row_shape_choice import choose
from core.data.stream.row_batches import read_row
from tests.data.row_batches import read_alone


def test_a_chat_has_its_answers_apart():
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello.", "reasoning": "They greet."},
        {"role": "assistant", "content": "Not learnt.", "weight": 0},
    ]
    row = read_alone({"messages": turns}, 7).texts
    assert (row.number, row.context, row.answers) == (7, ("Be kind.", "Hi", "Not learnt."), ("Hello.",))
    assert row.other == ("They greet.",) and row.learnt == ("Hello.", "They greet.")


def test_the_input_of_an_instruction_belongs_to_the_prompt():
    data = DataOptions(prompt_key="instruction", completion_key="output")
    row = read_alone({"instruction": "Add.", "input": "1, 2", "output": 3}, 1, data).texts
    assert row.context == ("Add.\n\n1, 2",) and row.answers == ("3",)


def test_a_prompt_of_turns_is_not_learnt():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = read_alone({"prompt": turns, "completion": [{"role": "assistant", "content": "c"}]}, 1).texts
    assert row.context == ("a", "b") and row.answers == ("c",)


def test_plain_text_is_learnt_and_is_no_answer():
    row = read_alone({"text": "x"}, 1).texts
    assert row.learnt == ("x",) and not row.answers


@pytest.mark.parametrize(
    "raw",
    [{"text": None}, {"text": " "}, {"text": "\ud800"}, {"messages": []}, {"messages": "x"},
     {"prompt": {}, "completion": "x"}, {"messages": [{"role": 1}]}, {"messages": [None]}],
)  # fmt: skip
def test_a_row_without_text_has_a_reason(raw):
    row = read_alone(raw, 1)
    assert row.texts is None and row.fault and not row.is_unwanted
    assert row.is_empty == (raw == {"text": " "})


def test_a_row_whose_answer_is_labelled_false_is_told_from_one_that_does_not_fit():
    raws = [{"prompt": "q", "completion": "a", "label": False}, {"prompt": "q", "label": True}]
    shape = choose([raws[0], raws[0], raws[1]], DataOptions())
    rows = [read_row(raw, shape.read(raw), 1) for raw in raws]
    assert [(row.texts, row.is_unwanted, row.is_empty) for row in rows] == [
        (None, True, False),
        (None, False, False),
    ]


def test_a_long_text_is_cut_and_says_so():
    row = read_alone({"text": "x" * 5_000_000}, 1).texts
    assert row.is_cut and len(row.learnt[0]) == row_texts.LONGEST


def test_rows_are_read_and_checked_without_torch():
    heavy = "{'torch', 'transformers', 'datasets'}"
    code = f"import sys, core.data.checks.scan_rows; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_a_system_prompt_and_the_thoughts_of_turns_that_are_not_learnt_are_context():
    assert read_alone({"prompt": "q", "completion": "a", "system": "s"}, 1).texts.context == ("s", "q")
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a", "reasoning": "t", "weight": 0},
    ]
    row = read_alone({"messages": turns}, 1).texts
    assert row.context == ("q", "a", "t") and not row.learnt
