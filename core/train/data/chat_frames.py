"""Remembers where a chat template puts the turns of a chat, so that the next chats of the same shape are
rendered once each.

A frame is the text that a template puts around the turns, found from a chat whose turns are marks. A chat has
that frame when its whole rendering is the frame with its own turns in place of the marks, to the character.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Turn = dict[str, Any]
Span = tuple[int, int]  # characters, from and to
Shape = tuple[int, tuple[str, ...]]
PLAIN = {"role", "content"}  # the keys of a turn without anything that a template may treat in its own way
MOST_SHAPES = 1000
Read = Callable[[list[Turn]], tuple[str, Sequence[Span]]]  # a chat's rendering, and its answers' spans


class Frame(NamedTuple):
    """``around`` has the text before each turn and that after the last; ``answers`` the turns that are
    answers, each with the characters that its span has before and after the turn's own."""

    around: tuple[str, ...]
    answers: tuple[tuple[int, int, int], ...]

    def find_spans(self, turns: Sequence[Turn], rendered: str) -> tuple[Span, ...] | None:
        """The spans of the answers; None if the text is not this frame around these turns."""
        told = [turn["content"] for turn in turns]
        for contents in (told, [content.strip() for content in told]):
            pieces = [*itertools.chain.from_iterable(zip(self.around, contents, strict=False))]
            if "".join([*pieces, self.around[-1]]) == rendered:
                ends = list(itertools.accumulate(map(len, pieces)))
                return tuple(
                    (ends[2 * at] - before, ends[2 * at + 1] + after) for at, before, after in self.answers
                )
        return None


class Frames:
    """The frames of a template; one is made when a shape occurs for the second time."""

    def __init__(self) -> None:
        self._frames: dict[Shape, Frame | None] = {}

    def find_spans(self, shape: Shape, turns: Sequence[Turn], rendered: str) -> tuple[Span, ...] | None:
        """The spans of the answers of a chat; None where no known frame has it."""
        frame = self._frames.get(shape)
        return frame.find_spans(turns, rendered) if frame is not None else None

    def learn(self, shape: Shape, read: Read) -> None:
        """Note that a chat of this shape was read; ``read`` reads another one."""
        if shape in self._frames:
            self._frames[shape] = self._frames[shape] or _make(shape, read)
        elif len(self._frames) < MOST_SHAPES:
            self._frames[shape] = None


def find_shape(turns: Sequence[Turn], first: int, special: str) -> Shape | None:
    """The chat's shape: its roles, with the number of turns that are only read; None where a turn has more
    than a text, an empty one, or one with ``special`` in it, which templates look for."""
    for turn in turns:
        content = turn["content"]
        if turn.keys() != PLAIN or special in content or not content.strip():
            return None
    return first, tuple(turn["role"] for turn in turns)


def _make(shape: Shape, read: Read) -> Frame | None:
    marks = [f"zq{at}qz" for at in range(len(shape[1]))]
    turns = [{"role": role, "content": mark} for role, mark in zip(shape[1], marks, strict=True)]
    rendered, spans = read(turns)
    around, places, at = list[str](), list[Span](), 0
    for mark in marks:
        place = rendered.find(mark, at)
        if rendered.count(mark) != 1 or place < 0:
            return None
        around.append(rendered[at:place])
        at = place + len(mark)
        places.append((place, at))
    around.append(rendered[at:])
    answers = _find_answers(spans, places)
    return Frame(tuple(around), answers) if len(answers) == len(spans) else None


def _find_answers(spans: Sequence[Span], places: Sequence[Span]) -> tuple[tuple[int, int, int], ...]:
    """The turn that each span holds, with the span's characters on both sides; none for a span with more."""
    found = []
    for begin, end in spans:
        held = [at for at, place in enumerate(places) if begin < place[1] and end > place[0]]
        if len(held) == 1 and begin <= places[held[0]][0] and end >= places[held[0]][1]:
            found.append((held[0], places[held[0]][0] - begin, end - places[held[0]][1]))
    return tuple(found)
