"""A row is split into context and learnt text as training does it, without a tokenizer."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.readers import row_texts
from core.data.readers.row_values import UnusableRow
from core.errors import TrimtabError

DATA = DataOptions()


def test_a_chat_has_its_answers_apart():
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello.", "reasoning": "They greet."},
        {"role": "assistant", "content": "Not learnt.", "weight": 0},
    ]
    row = row_texts.split({"messages": turns}, DATA, 7)
    assert (row.number, row.context, row.answers) == (7, ("Be kind.", "Hi", "Not learnt."), ("Hello.",))
    assert row.other == ("They greet.",) and row.learnt == ("Hello.", "They greet.")


def test_the_input_of_an_instruction_belongs_to_the_prompt():
    data = DataOptions(prompt_key="instruction", completion_key="output")
    row = row_texts.split({"instruction": "Add.", "input": "1, 2", "output": 3}, data, 1)
    assert row.context == ("Add.\n\n1, 2",) and row.answers == ("3",)


def test_a_prompt_of_turns_is_not_learnt():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = row_texts.split({"prompt": turns, "completion": [{"role": "assistant", "content": "c"}]}, DATA, 1)
    assert row.context == ("a", "b") and row.answers == ("c",)


def test_plain_text_is_learnt_and_is_no_answer():
    row = row_texts.split({"text": "x"}, DATA, 1)
    assert row.learnt == ("x",) and not row.answers


@pytest.mark.parametrize(
    "raw",
    [{"text": None}, {"text": " "}, {"text": "\ud800"}, {"messages": []}, {"messages": "x"},
     {"prompt": {}, "completion": "x"}, {"messages": [{"role": 1}]}, {"messages": [None]}],
)  # fmt: skip
def test_a_row_without_text_has_a_reason(raw):
    with pytest.raises(UnusableRow):
        row_texts.split(raw, DATA, 1)
    skipped = Counter()
    assert not list(row_texts.readable([raw], DATA, skipped)) and skipped.total() == 1


def test_rows_without_any_known_column_are_refused_as_a_whole():
    with pytest.raises(TrimtabError, match="the rows cannot be read; their columns are: a, b"):
        list(row_texts.readable([{"a": {}, "b": None}], DATA, Counter()))


def test_a_long_text_is_cut_and_says_so():
    row = row_texts.split({"text": "x" * 5_000_000}, DATA, 1)
    assert row.is_cut and len(row.learnt[0]) == row_texts.LONGEST


def test_rows_are_read_and_checked_without_torch():
    heavy = "{'torch', 'transformers', 'datasets'}"
    code = f"import sys, core.data.checks.scan_rows; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
