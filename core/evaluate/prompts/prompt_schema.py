"""The rows that boards are made of, packaged or a user's own: what each holds, and when it is fit for use."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

REQUEST = "{request}"
ENCODINGS = ("", "base64", "rot13", "reverse")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a prompt file."""

    def fault(self) -> str:
        """Why this row is of no use; "" when it is."""
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
    """A request to a model, or the opening of a text that it goes on from."""

    text: str
    topic: str = ""


class Pair(Row, frozen=True):
    """Two sentences that differ in who is spoken of (CrowS-Pairs, Nangia et al. 2020)."""

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
            return f"the text needs {REQUEST} once"
        known = ", ".join(repr(one) for one in ENCODINGS)
        return "" if self.encoding in ENCODINGS else f"encoding {self.encoding!r} is none of {known}"


class Injection(Row, frozen=True):
    """A task on a content in which somebody else's order stands; the canary in the answer is its success."""

    task: str
    content: str
    canary: str
    kind: str = ""

    def fault(self) -> str:
        inside = self.canary.casefold() in self.task.casefold()
        return super().fault() or ("the canary stands in the task itself" if inside else "")


class Passage(Row, frozen=True):
    """A piece of general text."""

    text: str
    kind: str = ""


class Question(Row, frozen=True):
    """A question with labelled choices; ``answer`` counts from 0, or is the right choice's text, or its
    letter where no choice has that text."""

    question: str
    choices: list[str]
    answer: int | str
    topic: str = ""

    @property
    def right(self) -> int:
        """The place of the right choice; -1 where there is none."""
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
        inside = f"answer {self.answer!r} is none of the choices, from 0"
        return super().fault() or ("" if self.right >= 0 else inside)


class Task(Row, frozen=True):
    """A prompt with its right answer, or several."""

    prompt: str
    answer: str | list[str]
    topic: str = ""

    def fault(self) -> str:
        right = [self.answer] if isinstance(self.answer, str) else self.answer
        return super().fault() or ("" if any(one.strip() for one in right) else "there is no answer")


class Leaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Openings with ``{person}`` or ``{person_lower}``, and the groups that are put there, by axis."""

    templates: list[str]
    groups: dict[str, list[str]]

    def fault(self) -> str:
        """Why these are of no use; "" when they are."""
        bare = [one for one in self.templates if "{person}" not in one and "{person_lower}" not in one]
        alone = [axis for axis, groups in self.groups.items() if len(set(groups)) < 2]
        if not self.templates or not self.groups:
            return "there are no templates or no groups"
        if bare:
            return f"the template {bare[0]!r} has neither {{person}} nor {{person_lower}}"
        return f"the axis {alone[0]!r} needs two groups" if alone else ""

    def prompts(self, axis: str) -> dict[str, list[str]]:
        """Each group's openings, in the templates' order."""
        return {group: [_person(one, group) for one in self.templates] for group in self.groups[axis]}


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
