"""Remembers where a chat template puts the turns of a chat, so that the next chats of the same shape are
rendered once each.

A frame is the text that a template puts around the turns, found from a chat whose turns are marks. A chat has
that frame when its whole rendering is the frame with its own turns in place of the marks, to the character.

Where a template does nothing with a turn's text but write it, strip spaces around it, and look for fixed
words in it, a chat without these words has the frame for certain, and is not rendered at all: a ``Probe`` in
place of each mark notes what the template does. Some chats are rendered all the same, to be sure.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from jinja2 import nodes

Turn = dict[str, Any]
Span = tuple[int, int]  # characters, from and to
Shape = tuple[int, tuple[str, ...]]
Filled = tuple[str, tuple[Span, ...]]  # a chat's text, and the spans of its answers
PLAIN = {"role", "content"}  # the keys of a turn without anything that a template may treat in its own way
MOST_SHAPES = 1000
CHECKED, EVERY = 8, 256  # the first chats of a shape, and then one of so many, are rendered all the same
# what makes one text of several, in which a template may then look without a probe seeing it
UNSEEN = (
    nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock, nodes.Concat, nodes.Include,
    nodes.Import, nodes.FromImport, nodes.Extends,
)  # fmt: skip
OF_LISTS = {"length", "count", "first", "last", "list", "reverse", "selectattr", "rejectattr"}
OF_KINDS = {"string", "defined", "undefined", "none", "mapping", "boolean", "number", "true", "false"}
Asked = tuple[str, str]  # "in", "first", "last" or "all", and the words that the text must not have there
Read = Callable[[list[Turn]], tuple[str, Sequence[Span]]]  # a chat's rendering, and its answers' spans
Render = Callable[[list[Turn]], str]


class Frame(NamedTuple):
    """``pieces`` has the text before each turn and that after the last, with "" for each turn between them.
    ``answers`` are the turns that are answers, each with the first and the last character of its span if no
    turn had a text."""

    pieces: tuple[str, ...]
    answers: tuple[tuple[int, int, int], ...]
    asked: tuple[tuple[Asked, ...], ...] | None = None  # of each turn; None: the template does something else

    @classmethod
    def of(cls, around: Sequence[str], answers: Iterable[tuple[int, int, int]], asked: Any = None) -> Frame:
        """Make a frame of the text ``around`` the turns; ``answers`` have the turn of each, and the
        characters that its span has before and after it."""
        ends = list(itertools.accumulate(map(len, around)))
        pieces = [piece for text in around for piece in (text, "")][:-1]
        spans = ((at, ends[at] - before, ends[at] + after) for at, before, after in answers)
        return cls(tuple(pieces), tuple(spans), asked)

    def find_spans(self, turns: Sequence[Turn], rendered: str) -> tuple[Span, ...] | None:
        """The spans of the answers; None if the text is not this frame around these turns."""
        told = [turn["content"] for turn in turns]
        for contents in (told, [content.strip() for content in told]):
            text, spans = self.put(contents)
            if text == rendered:
                return spans
        return None

    def fits(self, turns: Sequence[Turn]) -> bool:
        """Tell whether these turns have this frame for certain."""
        return self.asked is not None and all(
            not (turn["content"][0].isspace() or turn["content"][-1].isspace())
            and not any(_has(turn["content"], *words) for words in asked)
            for turn, asked in zip(turns, self.asked, strict=True)
        )

    def put(self, contents: Sequence[str]) -> Filled:
        """The text with the contents of these turns, and the spans of the answers."""
        pieces, ends = list(self.pieces), list(itertools.accumulate(map(len, contents), initial=0))
        pieces[1::2] = contents
        spans = [(ends[at] + begin, ends[at + 1] + end) for at, begin, end in self.answers]
        return "".join(pieces), tuple(spans)


class Frames:
    """The frames of a template; one is made when a shape occurs for the second time."""

    def __init__(self, render: Render | None = None) -> None:
        """``render`` renders turns that are probes; without it every chat is rendered."""
        self._frames: dict[Shape, Frame | None] = {}
        self._counts, self._owed = Counter[Shape](), Counter[Shape]()
        self._render = render

    def fill(self, shape: Shape, turns: Sequence[Turn]) -> Filled | None:
        """The text and the spans of a chat that need not be rendered; None for another."""
        frame = self.find_certain(shape)
        if frame is None or not frame.fits(turns):
            return None
        if self._owed[shape]:
            self._owed[shape] -= 1
            return None
        return None if self.is_due(shape) else frame.put([turn["content"] for turn in turns])

    def find_certain(self, shape: Shape) -> Frame | None:
        """The frame that a chat of this shape has if its turns have nothing that the template looks for."""
        frame = self._frames.get(shape)
        return None if frame is None or frame.asked is None else frame

    def is_due(self, shape: Shape) -> bool:
        """Count a chat that has its frame for certain; tell whether it is to be rendered all the same."""
        self._counts[shape] += 1
        return self._counts[shape] <= CHECKED or self._counts[shape] % EVERY == 0

    def owe(self, shape: Shape) -> None:
        """Have the next chat of this shape rendered that ``fill`` is asked for."""
        self._owed[shape] += 1

    def find_spans(self, shape: Shape, turns: Sequence[Turn], rendered: str) -> tuple[Span, ...] | None:
        """The spans of the answers of a chat; None where no known frame has it."""
        frame = self._frames.get(shape)
        spans = frame.find_spans(turns, rendered) if frame is not None else None
        if spans is None and frame is not None and frame.fits(turns):
            self._frames[shape] = frame._replace(asked=None)
        return spans

    def learn(self, shape: Shape, read: Read) -> None:
        """Note that a chat of this shape was read; ``read`` reads another one."""
        if shape in self._frames:
            self._frames[shape] = self._frames[shape] or _make(shape, read, self._render)
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


def _make(shape: Shape, read: Read, render: Render | None) -> Frame | None:
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
    if len(answers) != len(spans):
        return None
    template_calls = _ask(turns, rendered, render) if render is not None else None
    return Frame.of(around, answers, template_calls)


def _find_answers(spans: Sequence[Span], places: Sequence[Span]) -> tuple[tuple[int, int, int], ...]:
    """The turn that each span holds, with the span's characters on both sides; none for a span with more."""
    answer_places = []
    for begin, end in spans:
        held_places = [at for at, place in enumerate(places) if begin < place[1] and end > place[0]]
        if len(held_places) == 1 and begin <= places[held_places[0]][0] and end >= places[held_places[0]][1]:
            answer_places.append(
                (held_places[0], places[held_places[0]][0] - begin, end - places[held_places[0]][1])
            )
    return tuple(answer_places)


# -- what a template does with a turn's text -------------------------------------------------------


class Probe(str):
    """A turn's text that notes what is looked for in it: ``is_read`` if it is read in another way. Of a text
    that is made with it (``is_part``) nothing may be asked."""

    asked: list[Asked]
    is_read: bool = False
    is_part: bool = False
    source: Probe

    @classmethod
    def of(cls, text: str, source: Probe | None = None) -> Probe:
        """Return a probe with a text, or one that is made of ``source``."""
        probe = cls(text)
        probe.source, probe.is_part, probe.asked = source or probe, source is not None, []
        return probe

    def _note(self, place: str, words: object) -> bool:
        """Note that words are looked for; they are not there."""
        for word in words if isinstance(words, tuple) else (words,):
            if type(word) is str and not self.is_part:
                self.asked.append((place, word))
            else:
                self.read()
        return False

    def read(self) -> None:
        """Note that the text is read in a way that is not understood."""
        self.source.is_read = True

    def _strip(self, characters: str | None = None) -> Probe:
        if self.is_part or (characters and characters.strip()):
            self.read()
        return self

    strip = lstrip = rstrip = _strip

    def __add__(self, other: str) -> Probe:
        if isinstance(other, Probe):
            self.read()
        return Probe.of(str.__add__(self, other), self.source)

    def __radd__(self, other: str) -> Probe:
        return Probe.of(str.__add__(other, self), self.source)

    def __contains__(self, words: object) -> bool:
        return self._note("in", words)

    def startswith(self, words: Any, *place: Any) -> bool:
        """Note what the text might begin with."""
        return self._note("first", (words, *place) if place else words)

    def endswith(self, words: Any, *place: Any) -> bool:
        """Note what the text might end with."""
        return self._note("last", (words, *place) if place else words)

    def __eq__(self, other: object) -> bool:
        return self._note("all", other)

    def __ne__(self, other: object) -> bool:
        return not self._note("all", other)

    def __bool__(self) -> bool:
        return True


def _make_noting(name: str) -> Callable[..., Any]:
    method = getattr(str, name)

    @wraps(method)
    def note(probe: Probe, *arguments: Any, **named: Any) -> Any:
        probe.read()
        return method(probe, *arguments, **named)

    return note


KNOWN = {
    "__str__",
    "__new__",
    "__init__",
    "__class__",
    "__getattribute__",
    "__setattr__",
    "__doc__",
    *vars(Probe),
}
for _name in (name for name in vars(str) if name not in KNOWN):
    setattr(Probe, _name, _make_noting(_name))
Probe.__hash__ = _make_noting("__hash__")  # type: ignore[method-assign]


def _has(text: str, place: str, words: str) -> bool:
    """Tell whether a text has words in a place."""
    if place == "in":
        return words in text
    return (
        text == words
        if place == "all"
        else getattr(text, {"first": "startswith", "last": "endswith"}[place])(words)
    )


def render_probes(template: Any, source: str, names: Mapping[str, Any]) -> Render | None:
    """Return what renders probes with a compiled template, and notes which of them its filters and tests see;
    None for a template in which a probe would not see all. ``names`` are those of the special tokens."""
    watched = _make_watched(template, source)
    if watched is None:
        return None
    return lambda turns: str(
        watched.render(messages=turns, tools=None, documents=None, add_generation_prompt=False, **names)
    )


@lru_cache(8)
def _make_watched(template: Any, source: str) -> Any:
    """Compile a template whose filters and tests note probes; None if a probe would not see all."""
    environment = template.environment.overlay()
    if next(environment.parse(source).find_all(UNSEEN), None) is not None:
        return None
    environment.filters = {
        name: _watch(name, filter_function, {"trim"}) for name, filter_function in environment.filters.items()
    }
    environment.tests = {
        name: _watch(name, filter_function, OF_KINDS) for name, filter_function in environment.tests.items()
    }
    return environment.from_string(source)


def _watch(name: str, function: Callable[..., Any], harmless: set[str]) -> Callable[..., Any]:
    """Return the function, which notes the probes among its arguments unless its name is harmless."""

    @wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        values = [*arguments, *named.values()]
        for probe in () if name in harmless else _find_probes(values, deep=name not in OF_LISTS):
            probe.read()
        return function(*arguments, **named)

    return watched


def _find_probes(values: Iterable[Any], deep: bool) -> Iterator[Probe]:
    for value in values:
        if isinstance(value, Probe):
            yield value
        elif deep and isinstance(value, dict | list | tuple):
            yield from _find_probes(value.values() if isinstance(value, dict) else value, deep)


def _ask(turns: Sequence[Turn], rendered: str, render: Render) -> tuple[tuple[Asked, ...], ...] | None:
    """Return the words that the template looks for in each turn; None if it does anything else."""
    probes = [Probe.of(turn["content"]) for turn in turns]
    try:
        text = render([turn | {"content": probe} for turn, probe in zip(turns, probes, strict=True)])
    except Exception:  # templates may raise anything
        return None
    if text != rendered or any(probe.is_read for probe in probes):
        return None
    return tuple(tuple(dict.fromkeys(probe.asked)) for probe in probes)
