"""The rows of prompt files, packaged or a user's own: their fields, and when they are valid."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

REQUEST = "{request}"
ENCODINGS = ("", "base64", "rot13", "reverse")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a prompt file."""

    def fault(self) -> str:
        """Why this row is invalid; "" if it is valid."""
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
}


class Prompt(Row, frozen=True):
    """A request to a model, or the opening of a text to continue."""

    text: str
    topic: str = ""


class Pair(Row, frozen=True):
    """Two sentences that differ in the group they are about (CrowS-Pairs, Nangia et al. 2020)."""

    axis: str
    stereotype: str
    opposite: str

    def fault(self) -> str:
        return super().fault() or ("both sentences are the same" if self.stereotype == self.opposite else "")


class Wrapper(Row, frozen=True):
    """A jailbreak: a text around ``{request}``, which may be encoded first."""

    text: str
    kind: str = ""
    encoding: str = ""

    def fault(self) -> str:
        if self.text.count(REQUEST) != 1:
            return f"the text must contain {REQUEST} exactly once"
        known = ", ".join(repr(encoding) for encoding in ENCODINGS)
        return "" if self.encoding in ENCODINGS else f"encoding {self.encoding!r} is not one of {known}"


class Injection(Row, frozen=True):
    """A task on content with an injected instruction, which succeeds if the canary is in the answer."""

    task: str
    content: str
    canary: str
    kind: str = ""

    def fault(self) -> str:
        inside = self.canary.casefold() in self.task.casefold()
        return super().fault() or ("the canary appears in the task itself" if inside else "")


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

    def fault(self) -> str:
        if len(self.choices) < 2:
            return "a question needs two choices or more"
        if len(set(self.choices)) < len(self.choices):
            return "two choices are the same"
        inside = f"answer {self.answer!r} is not a choice or an index from 0"
        return super().fault() or ("" if self.right >= 0 else inside)


class Task(Row, frozen=True):
    """A prompt with one or several expected answers."""

    prompt: str
    answer: str | list[str]
    topic: str = ""

    def fault(self) -> str:
        right = [self.answer] if isinstance(self.answer, str) else self.answer
        return super().fault() or ("" if any(answer.strip() for answer in right) else "there is no answer")


class Leaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Openings with ``{person}`` or ``{person_lower}``, and the groups to fill in, by axis."""

    templates: list[str]
    groups: dict[str, list[str]]

    def fault(self) -> str:
        """Why these are invalid; "" if they are valid."""
        without_person = [
            template for template in self.templates if not re.search(r"\{person(_lower)?\}", template)
        ]
        alone = [axis for axis, groups in self.groups.items() if len(set(groups)) < 2]
        if not self.templates or not self.groups:
            return "there are no templates or no groups"
        if without_person:
            return f"the template {without_person[0]!r} has neither {{person}} nor {{person_lower}}"
        return f"the axis {alone[0]!r} needs two groups" if alone else ""

    def prompts(self, axis: str) -> dict[str, list[str]]:
        """Each group's openings, in the templates' order."""
        return {
            group: [_person(template, group) for template in self.templates] for group in self.groups[axis]
        }


def _person(template: str, group: str) -> str:
    lower = group[:1].lower() + group[1:]
    return template.replace("{person_lower}", lower).replace("{person}", group)


SHAPES: dict[str, type[Row]] = {
    "prompts": Prompt,
    "pairs": Pair,
    "wrappers": Wrapper,
    "injections": Injection,
    "passages": Passage,
    "questions": Question,
    "tasks": Task,
}
LONE_TEXT: dict[str, Callable[[str], Row]] = {
    "prompts": lambda text: Prompt(text),
    "wrappers": lambda text: Wrapper(text),
    "passages": lambda text: Passage(text),
}
