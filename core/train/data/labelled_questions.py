"""Questions with labelled choices among a user's rows, asked beside those of a file of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.evaluate.prompts.prompt_schema import Question

ANSWERS = ("answer", "answerKey", "label")  # columns that may say which is right, the first that is there


def found(rows: Sequence[dict[str, Any]], prompt_key: str) -> tuple[list[Question], str]:
    """The questions of ``rows`` that have a column ``choices``, and a word on those that cannot be asked."""
    having = [row for row in rows if row.get("choices") is not None]
    questions, faults = list[Question](), list[str]()
    for row in having:
        one = _question(row, prompt_key)
        questions += [one] if isinstance(one, Question) else []
        faults += [one] if isinstance(one, str) else []
    if not faults:
        return questions, ""
    return questions, f"{len(faults)} of {len(having)} rows with choices cannot be asked ({faults[0]})"


def _question(row: dict[str, Any], prompt_key: str) -> Question | str:
    """Choices are texts or, as in ARC, {"text": […], "label": […]}. A string says why it is no question."""
    asked = row.get("question", row.get(prompt_key))
    choices: Any = row["choices"]
    labels: list[Any] = []
    if isinstance(choices, dict):
        choices, labels = choices.get("text"), list(choices.get("label") or ())
    answer = next((row[name] for name in ANSWERS if row.get(name) is not None), None)
    if not isinstance(asked, str):
        return f"neither question nor {prompt_key} is a text"
    if not isinstance(choices, list | tuple) or not all(isinstance(one, str) for one in choices):
        return "choices is no list of texts"
    if isinstance(answer, bool) or not isinstance(answer, int | str):
        return "answer is neither a place, counted from 0, nor a text"
    if answer in labels:
        answer = labels.index(answer)
    one = Question(asked, list(choices), answer)
    return one.fault() or one
