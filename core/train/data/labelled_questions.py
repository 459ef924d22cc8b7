"""Finds questions with labelled choices among a user's rows; they add to those of a prompt file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.evaluate.prompts.prompt_schema import Question

ANSWERS = ("answer", "answerKey", "label")  # columns that may hold the right choice; the first present wins


def find_questions(rows: Sequence[dict[str, Any]]) -> tuple[list[Question], str]:
    """The questions of ``rows`` with a column ``choices``, and a note on those that cannot be used."""
    having = [row for row in rows if row.get("choices") is not None]
    questions, faults = list[Question](), list[str]()
    for row in having:
        parsed = _make_question(row)
        questions += [parsed] if isinstance(parsed, Question) else []
        faults += [parsed] if isinstance(parsed, str) else []
    if not faults:
        return questions, ""
    note = f"{len(faults)} of {len(having)} rows with choices cannot be used as questions ({faults[0]})"
    return questions, note


def _make_question(row: dict[str, Any]) -> Question | str:
    """Choices are texts or, as in ARC, {"text": […], "label": […]}. A string says why it is no question."""
    question_text = row.get("question", row.get("prompt"))
    choices: Any = row["choices"]
    labels: list[Any] = []
    if isinstance(choices, dict):
        choices, labels = choices.get("text"), list(choices.get("label") or ())
    answer = next((row[name] for name in ANSWERS if row.get(name) is not None), None)
    if not isinstance(question_text, str):
        return "neither the question nor the prompt is text"
    if not isinstance(choices, list | tuple) or not all(isinstance(choice, str) for choice in choices):
        return "choices is not a list of texts"
    if isinstance(answer, bool) or not isinstance(answer, int | str):
        return "answer is neither an index, counted from 0, nor text"
    if answer in labels:
        answer = labels.index(answer)
    question = Question(question_text, list(choices), answer)
    return question.find_fault() or question
