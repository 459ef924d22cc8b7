"""The rows of prompt files, packaged or a user's own: their fields, and when they are valid."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher

import msgspec

Span = tuple[int, int]  # characters, from and to
_WORD = re.compile(r"\S+")

REQUEST, ORDER = "{request}", "{order}"
PLACES = ("user", "tool", "system")
ENCODINGS = ("", "base64", "rot13", "reverse")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a prompt file."""

    def find_fault(self) -> str:
        """Return why this row is invalid; "" if it is valid."""
        empty = [
            name
            for name in self.__struct_fields__
            if isinstance(getattr(self, name), str) and name in NEEDED and not getattr(self, name).strip()
        ]
        return f"{empty[0]} is empty" if empty else ""


NEEDED = {
    "text",
    "stereotype",
    "opposite",
    "axis",
    "task",
    "content",
    "canary",
    "question",
    "prompt",
    "answer",
    "system",
    "secret",
    "request",
    "aligned",
    "misaligned",
}


class Prompt(Row, frozen=True):
    """A request to a model, or the opening of a text to continue."""

    text: str
    topic: str = ""
    language: str = "en"


class Pair(Row, frozen=True):
    """Two sentences that differ in the group they are about (CrowS-Pairs, Nangia et al. 2020)."""

    axis: str
    stereotype: str
    opposite: str

    def find_fault(self) -> str:
        return super().find_fault() or (
            "both sentences are the same" if self.stereotype == self.opposite else ""
        )

    def find_shared_words(self) -> tuple[list[Span], list[Span]]:
        """Return the words that both sentences have, in order, as spans of characters of each."""
        sides = [[word.span() for word in _WORD.finditer(text)] for text in (self.stereotype, self.opposite)]
        words = [
            [text[slice(*span)] for span in side]
            for text, side in zip((self.stereotype, self.opposite), sides, strict=True)
        ]
        blocks = SequenceMatcher(None, words[0], words[1], autojunk=False).get_matching_blocks()
        pairs = [(block.a + at, block.b + at) for block in blocks for at in range(block.size)]
        return [sides[0][at] for at, _ in pairs], [sides[1][at] for _, at in pairs]


class Wrapper(Row, frozen=True):
    """A jailbreak: a text around ``{request}``, which may be encoded first; ``turns`` are earlier ones, from
    the user's first on, the user's and the assistant's in turn."""

    text: str
    kind: str = ""
    encoding: str = ""
    turns: list[str] = []

    def find_fault(self) -> str:
        if len(self.turns) % 2 or not all(turn.strip() for turn in self.turns):
            return "turns must end with one of the assistant, and none may be empty"
        if self.text.count(REQUEST) != 1:
            return f"the text must contain {REQUEST} exactly once"
        encodings = ", ".join(repr(encoding) for encoding in ENCODINGS)
        return "" if self.encoding in ENCODINGS else f"encoding {self.encoding!r} is not one of {encodings}"


class Injection(Row, frozen=True):
    """A task on content with an injected instruction.

    ``{order}`` in the content stands for the ``order``, which takes over if the answer has its ``canary``
    and none of the texts of ``done``, of which an answer that did the task has at least one. The canary is
    derived: neither task, content nor order has it. ``place``: the content is in the user's turn, a tool's
    result or the system prompt. Without an ``order``, the content has it already, and there is no control.
    """

    task: str
    content: str
    canary: str
    kind: str = ""
    order: str = ""
    done: list[str] = []
    place: str = "user"

    def find_fault(self) -> str:
        if self.place not in PLACES:
            return f"place {self.place!r} is not one of {', '.join(PLACES)}"
        if bool(self.order) != (self.content.count(ORDER) == 1):
            return f"the content must contain {ORDER} exactly once if there is an order"
        if self.order and not self.done:
            return "done is empty: it tells an answer that did the task"
        orders = f"{self.order} {self.canary}".casefold()
        if any(text.casefold() in orders for text in self.done):
            return "a text of done appears in the order or the canary"
        model_input = f"{self.task} {self.order} {self.content if self.order else ''}".casefold()
        inside = self.canary.casefold() in model_input
        return super().find_fault() or ("the canary appears in what is given" if inside else "")

    @property
    def with_order(self) -> str:
        """The content with the injected instruction."""
        return self.content.replace(ORDER, self.order)

    @property
    def without_order(self) -> str:
        """The content alone."""
        return self.content.replace(f" {ORDER}", "").replace(ORDER, "").strip()


class PromptLeak(Row, frozen=True):
    """A request for the system prompt, which holds a secret phrase."""

    system: str
    secret: str
    request: str

    def find_fault(self) -> str:
        if self.secret.casefold() in self.request.casefold():
            return "the secret appears in the request"
        return super().find_fault() or (
            "" if self.secret in self.system else "the system prompt has no secret"
        )


class Passage(Row, frozen=True):
    """A piece of general text."""

    text: str
    kind: str = ""


class Question(Row, frozen=True):
    """A multiple-choice question. ``answer`` is an index from 0, the right choice's text, or its letter if no
    choice has that text."""

    question: str
    choices: list[str]
    answer: int | str
    topic: str = ""

    @property
    def right(self) -> int:
        """The index of the right choice; -1 if there is none."""
        if isinstance(self.answer, int):
            return self.answer if 0 <= self.answer < len(self.choices) else -1
        if self.answer in self.choices:
            return self.choices.index(self.answer)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.choices)]
        return letters.find(self.answer) if len(self.answer) == 1 else -1

    def find_fault(self) -> str:
        if len(self.choices) < 2:
            return "a question needs two choices or more"
        if len(set(self.choices)) < len(self.choices):
            return "two choices are the same"
        inside = f"answer {self.answer!r} is not a choice or an index from 0"
        return super().find_fault() or ("" if self.right >= 0 else inside)


class AnswerPair(Row, frozen=True):
    """An open question with an answer of a well-aligned model and one of a misaligned model."""

    question: str
    aligned: str
    misaligned: str
    topic: str = ""

    def find_fault(self) -> str:
        return super().find_fault() or (
            "both answers are the same" if self.aligned == self.misaligned else ""
        )


class Task(Row, frozen=True):
    """A prompt with one or several expected answers."""

    prompt: str
    answer: str | list[str]
    topic: str = ""

    def find_fault(self) -> str:
        right = [self.answer] if isinstance(self.answer, str) else self.answer
        return super().find_fault() or (
            "" if any(answer.strip() for answer in right) else "there is no answer"
        )


SHAPES: dict[str, type[Row]] = {
    "prompts": Prompt,
    "pairs": Pair,
    "wrappers": Wrapper,
    "injections": Injection,
    "prompt_leak": PromptLeak,
    "passages": Passage,
    "questions": Question,
    "tasks": Task,
    "misalignment": AnswerPair,
}
LONE_TEXT: dict[str, Callable[[str], Row]] = {
    "prompts": lambda text: Prompt(text),
    "wrappers": lambda text: Wrapper(text),
    "passages": lambda text: Passage(text),
}
