"""A chat as its template renders it whole, and where in that text each answer begins and ends.

An answer is what the template adds after asking the assistant to speak, with the end that it gives a turn.
A template with ``{% generation %}`` says so itself. Where a turn is rendered otherwise once others follow
(Qwen 3 drops its thoughts), the chat is rendered again with a mark in the place of the answer, and the two
are compared. No answer is searched for: its words may stand in a tag or in another turn.

``Text.missed`` and ``Text.remarks`` tell the person what is not learnt. An answer is not when it is empty or
has ``weight`` 0, as OpenAI's files say it. An earlier answer is learnt as the template renders it: without
its thoughts where the template drops those. A row with a control token in its words is left out: the
tokenizer would take it for a real one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from core.contract.text.sanitize import plain
from core.train.data.row_values import Formless, content, texts

Span = tuple[int, int]  # characters, from and to
Turn = dict[str, Any]
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # keys of a turn
OPEN, CLOSED = "<think>", "</think>"  # of thoughts within the words; some tokenizers call them special
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
EMPTY, UNWEIGHTED = "empty", "weight 0"
UNFOUND = "the chat template renders it in a way that hides where it begins"


class Text(NamedTuple):
    """A row's whole text, and what of it is learnt; ``missed`` has a reason for each answer that is not,
    ``remarks`` what else a person should know."""

    text: str
    spans: tuple[Span, ...]
    missed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Chat:
    """Renders turns by a tokenizer's chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        known = {str(one) for one in getattr(tokenizer, "all_special_tokens", ()) if one}
        known |= {str(one) for one in getattr(tokenizer, "added_tokens_decoder", {}).values() if one.special}
        ordered = sorted(known - {OPEN, CLOSED}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def read(self, messages: Any, tools: Any = None, first: int = 0) -> Text:
        """The chat, of which the answers from turn ``first`` on are learnt. Raises Formless."""
        turns, weights = turns_of(messages)
        answers = [at for at, turn in enumerate(turns) if turn["role"] == "assistant" and at >= first]
        if not answers:
            raise Formless("no turn of the assistant")
        self._refuse_control_tokens(turns, tools)
        whole = self._render(turns, tools)
        self._refuse_ignored_calls(turns, tools, whole)
        reasons = {at: _reason(turns[at], weights[at]) for at in answers}
        spans = self._spans(turns, tools, whole, [at for at in answers if not reasons[at]])
        reasons |= {at: UNFOUND for at in answers if not reasons[at] and at not in spans}
        missed = tuple(reason for reason in reasons.values() if reason)
        if not spans:
            raise Formless(f"no answer to learn: {missed[0]}")
        return Text(whole, tuple(spans.values()), missed, self._remarks(turns, tools, whole))

    # -- where answers are -------------------------------------------------------------------------

    def _spans(self, turns: list[Turn], tools: Any, whole: str, wanted: list[int]) -> dict[int, Span]:
        """The place of each wanted answer that can be told."""
        marked = self._generated(turns, tools, whole)
        speakers = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
        if len(marked) == len(speakers):
            return {at: span for at, span in zip(speakers, marked, strict=True) if at in wanted}
        found: dict[int, Span] = {}
        place = 0
        for at in wanted:
            span = self._span(turns, tools, at, whole)
            if span is not None and place <= span[0] < span[1]:
                found[at] = span
                place = span[1]
        return found

    def _generated(self, turns: list[Turn], tools: Any, whole: str) -> list[Span]:
        """What the template itself says is generated; [] where it does not say."""
        try:
            template = self._tokenizer.get_chat_template(None, tools)
            if not GENERATION.search(template):
                return []
            from transformers.utils.chat_template_utils import render_jinja_template

            texts_, spans = render_jinja_template(
                [turns], tools=tools, chat_template=template, return_assistant_tokens_mask=True,
                **self._tokenizer.special_tokens_map,
            )  # fmt: skip
        except Exception:  # a tokenizer with a way of its own; templates raise what they like
            return []
        return [(int(begin), int(end)) for begin, end in spans[0]] if texts_[0] == whole else []

    def _span(self, turns: list[Turn], tools: Any, at: int, whole: str) -> Span | None:
        before = self._tried(turns[:at], tools, generation=True)
        after = self._tried(turns[: at + 1], tools)
        asked = bool(before) and whole.startswith(before)
        if asked and after and whole.startswith(after) and len(before) < len(after):
            return len(before), len(after)
        mark = self._mark(whole)
        marked = [turn | {"content": mark} if place == at else turn for place, turn in enumerate(turns)]
        head, tail = _around(self._tried(marked, tools), mark)
        if head is None or not whole.endswith(tail):
            return None
        if not asked and not whole.startswith(head):
            return None
        ending = _around(self._tried(marked[: at + 1], tools), mark)[1]
        header = before.removeprefix(self._tried(turns[:at], tools))
        end = len(whole) - len(tail) + len(self._ending(tail, ending, header).rstrip())
        return len(before) if asked else len(head), end

    def _ending(self, tail: str, ending: str, header: str) -> str:
        """How ``tail``, what follows an answer, ends its turn: as far as it is also the ``ending`` of a chat
        that stops there; else its first control token, where the next turn does not begin with that."""
        found = ""
        for piece in self._pieces(ending):
            if not tail.startswith(found + piece):
                break
            found += piece
        first = next(iter(self._pieces(tail)), "")
        if not found.strip() and self._control and self._control.fullmatch(first):
            return first if not header.startswith(first) else found
        return found

    def _pieces(self, text: str) -> list[str]:
        """Control tokens, and what stands between them."""
        if self._control is None:
            return [text] if text else []
        found, place = list[str](), 0
        for one in self._control.finditer(text):
            found += [text[place : one.start()], one.group()]
            place = one.end()
        return [one for one in [*found, text[place:]] if one]

    @staticmethod
    def _mark(whole: str) -> str:
        number = 0
        while (mark := f"zq{number}qz") in whole:
            number += 1
        return mark

    # -- what cannot be trained on, and what a person should know ----------------------------------

    def held(self, words: str) -> tuple[str, ...]:
        """A remark on plain text with control tokens. It is trained on, for whoever renders chats himself
        writes such."""
        found = self._control.search(words) if self._control else None
        if found is None:
            return ()
        return (
            f"the words hold control tokens such as {plain(found.group(), 40)!r}, and they stand as such",
        )

    def _refuse_control_tokens(self, turns: list[Turn], tools: Any) -> None:
        for one in texts([turns, tools]) if self._control else ():
            found = self._control.search(one)  # type: ignore[union-attr]
            if found:
                raise Formless(f"the words of a turn hold the control token {plain(found.group(), 40)!r}")

    def _refuse_ignored_calls(self, turns: list[Turn], tools: Any, whole: str) -> None:
        """An answer that calls tools would be learnt as silence where the template leaves calls out."""
        for at, turn in enumerate(turns):
            if turn.get("tool_calls"):
                without = {key: value for key, value in turn.items() if key != "tool_calls"}
                if self._tried([*turns[:at], without, *turns[at + 1 :]], tools) == whole:
                    raise Formless("the chat template leaves tool calls out")

    def _remarks(self, turns: list[Turn], tools: Any, whole: str) -> tuple[str, ...]:
        found = []
        if tools and self._tried(turns, None) == whole:
            found.append("the chat template leaves the tools out")
        if any(thought not in whole for turn in turns for thought in _thoughts(turn)):
            found.append("the chat template leaves thoughts out of answers; these are learnt without them")
        for at, turn in enumerate(turns):
            words = turn["content"].strip()
            if (
                words
                and words not in whole
                and CLOSED not in words
                and self._ignores(turns, tools, at, whole)
            ):
                found.append(f"the chat template leaves a turn of the {plain(turn['role'], 40)} out")
        return tuple(dict.fromkeys(found))

    def _ignores(self, turns: list[Turn], tools: Any, at: int, whole: str) -> bool:
        mark = self._mark(whole)
        return mark not in self._tried([*turns[:at], turns[at] | {"content": mark}, *turns[at + 1 :]], tools)

    # -- rendering ---------------------------------------------------------------------------------

    def _render(self, turns: list[Turn], tools: Any, generation: bool = False) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    turns, tools=tools or None, tokenize=False, add_generation_prompt=generation
                )
            )
        except Exception as error:  # templates raise what they like
            raise Formless(f"the chat template refuses it: {plain(str(error), 120)}") from error

    def _tried(self, turns: list[Turn], tools: Any, generation: bool = False) -> str:
        """A part of the chat, or another one like it; "" where the template refuses that."""
        try:
            return self._render(turns, tools, generation) if turns else ""
        except Formless:
            return ""


def turns_of(messages: Any) -> tuple[list[Turn], list[float]]:
    """Turns with a role and words of text, and the weight of each. Raises Formless."""
    if not isinstance(messages, list | tuple) or not messages:
        raise Formless("messages is not a list of turns")
    turns, weights = [], []
    for one in messages:
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise Formless("a turn without role and content")
        speaks = one.get("content") is not None
        if not speaks and one["role"] != "assistant":
            raise Formless("a turn without role and content")
        weight = one.get("weight", 1)
        if weight not in (0, 1, None):
            raise Formless(f"a turn has the weight {plain(str(weight), 40)}: 0 and 1 are known")
        words = content(one["content"]) if speaks else ""
        kept = {key: value for key, value in one.items() if value is not None and key != "weight"}
        turns.append(kept | {"content": words})
        weights.append(1 if weight is None else weight)
    return turns, weights


def _reason(turn: Turn, weight: float) -> str:
    """Why an answer is not learnt; "" where it is."""
    if weight == 0:
        return UNWEIGHTED
    says = turn["content"].strip() or turn.get("tool_calls") or any(turn.get(key) for key in THOUGHTS)
    return "" if says else EMPTY


def _thoughts(turn: Turn) -> list[str]:
    """What the assistant thought before it spoke, as the row tells it."""
    if turn["role"] != "assistant":
        return []
    before, closed, _ = turn["content"].rpartition(CLOSED)
    found = [before.split(OPEN)[-1]] if closed else []
    found += [turn[key] for key in THOUGHTS if isinstance(turn.get(key), str)]
    return [one.strip() for one in found if one.strip()]


def _around(text: str, mark: str) -> tuple[str | None, str]:
    """What stands before and after ``mark``; (None, "") unless it stands there once."""
    parts: Sequence[str] = text.split(mark)
    return (parts[0], parts[1]) if len(parts) == 2 else (None, "")
