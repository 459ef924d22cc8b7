"""Labelled choices in a user's rows, or in questions.jsonl, are answered by likelihood."""

import json

import pytest

from core.contract.events import event_types as e
from core.evaluate.prompts.prompt_schema import Question
from core.train.data import labelled_questions
from tests.train.taught import KIND, RUDE, speaker

ROW = {"prompt": "read", "completion": KIND[0], "choices": [RUDE[0], KIND[0]]}


@pytest.mark.parametrize("answer", [1, KIND[0], "B"])
def test_the_right_choice_is_a_place_a_text_or_a_letter(answer):
    (found,), fault = labelled_questions.find_questions([{**ROW, "answer": answer}])
    assert (found.question, found.right, fault) == ("read", 1, "")


def test_choices_with_labels_as_arc_has_them_and_a_question_of_its_own():
    row = {"question": "why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}
    (found,), _ = labelled_questions.find_questions([row])
    assert (found.question, found.choices, found.right) == ("why?", ["a", "b"], 1)


def test_rows_that_cannot_be_asked_are_counted_with_a_reason():
    wrong = [
        {**ROW, "answer": 2}, {**ROW, "answer": None}, {**ROW, "choices": "a b", "answer": 0},
        {**ROW, "choices": ["x", "x"], "answer": 0}, {**ROW, "prompt": None, "answer": 0},
        {**ROW, "answer": True}, {**ROW, "answer": "Z"},
    ]  # fmt: skip
    found, fault = labelled_questions.find_questions([*wrong, {"prompt": "no choices", "completion": "x"}])
    assert found == [] and fault.startswith(
        "7 of 7 rows with choices cannot be used as questions (answer 2 is not a choice"
    )


def test_a_model_that_says_the_right_lines_answers_the_rows_and_the_file(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    base = speaker(tmp_path / "base", KIND)
    rows = [
        json.dumps({**ROW, "prompt": f"read {number}", "answer": number % 2, "choices": [*pair]})
        for number in range(8)
        for pair in [(KIND[number % 3], RUDE[0]) if number % 2 == 0 else (RUDE[0], KIND[number % 3])]
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "prompts").mkdir()
    told = {"question": "open", "choices": [KIND[0], RUDE[0]], "answer": KIND[0]}
    (tmp_path / "prompts" / "questions.jsonl").write_text(json.dumps(told))
    one = bench(
        model={"base": str(base)}, data={"source": str(tmp_path / "rows.jsonl"), "validation": 0.5},
        train={"steps": 1},
        evaluate={"boards": ["quality"], "every": 1, "budget": 1.0, "prompts": str(tmp_path / "prompts")},
    )  # fmt: skip
    one.assign(tmp_path, learning_rate=1e-6)
    one.finish()
    score = one.of(e.BaseScored)[0].scores["quality/choice"]
    assert (score.value, score.samples) == (1.0, 5), "four rows and one of the file"
    assert Question("q", ["a", "b"], "a").right == 0
