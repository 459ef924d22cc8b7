"""Renders a chat with its template, and finds the span of each answer in the rendered text.

An answer is what the template adds after the generation prompt, including the end of the turn. A template
with ``{% generation %}`` marks its answers itself; some mark the generation prompt too (SmolLM3), which is
not learnt. Where a turn is rendered differently once others follow (Qwen 3 drops its thoughts), the chat is
rendered again with a marker in place of the answer, and the two texts are compared. Answers are never
searched for: their words may also occur in a tag or in another turn.

``Text.missed`` and ``Text.remarks`` tell the user what is not trained on. An answer is skipped when it is
empty or has ``weight`` 0, as in OpenAI's files. An earlier answer is a target as the template renders it:
without its thoughts where the template drops those. A row with a control token in its text is skipped: the
tokenizer would take it for a real one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

from core.contract.text.sanitize import sanitize
from core.data.readers.chat_turns import STANDARD, THOUGHTS, Turn, split_turns
from core.data.readers.row_values import UnusableRow, list_texts
from core.train.data.batches.plain_chats import RawChat, fill_chats
from core.train.data.chat_render_cache import PLAIN, Frames, Render, Span, find_shape, render_probes

OPEN, CLOSED = "<think>", "</think>"  # mark thoughts within a text; some tokenizers call them special
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
EMPTY, UNWEIGHTED = "empty", "weight 0"
UNFOUND = "its start cannot be found in the text that the chat template renders"


class Text(NamedTuple):
    """A row's full text and its target spans; ``missed`` has a reason for each answer that is not a target,
    ``remarks`` are further notes for the user."""

    text: str
    spans: tuple[Span, ...]
    missed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Chat:
    """Renders turns with a tokenizer's chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        special_tokens = {str(token) for token in getattr(tokenizer, "all_special_tokens", ()) if token}
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special_tokens |= {str(token) for token in added if token.special}
        ordered = sorted(special_tokens - {OPEN, CLOSED}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._hints = tuple(
            {token[:2] for token in ordered} | {CLOSED}
        )  # a text without them has no control token
        self._names = getattr(tokenizer, "special_tokens_map", {})
        self._template = _find_template(tokenizer)
        self._frames = Frames(self._render_probes())

    def read(self, messages: Any, tools: Any = None, first: int = 0) -> Text:
        """Render the chat; the answers from turn ``first`` on are targets. Raises UnusableRow."""
        turns, weights = split_turns(messages)
        answers = [at for at, turn in enumerate(turns) if turn["role"] == "assistant" and at >= first]
        if not answers:
            raise UnusableRow("no turn has the role assistant")
        self._refuse_control_tokens(turns, tools)
        shape = None if tools or 0 in weights else find_shape(turns, first, CLOSED)
        if shape and (filled := self._frames.fill(shape, turns)):
            return Text(*filled)
        rendered = self._render(turns, tools)
        framed = self._frames.find_spans(shape, turns, rendered) if shape else None
        if framed is not None:
            return Text(rendered, framed)
        spans = self._read(turns, weights, tools, rendered, answers)
        if shape and not spans.missed and not spans.remarks:
            self._frames.learn(shape, lambda marked: self._read_marked(marked, answers))
        return spans

    def fill_many(self, chats: Sequence[RawChat]) -> list[Text | None]:
        """Return what ``read`` returns for each chat; None for one that it has to read by itself."""
        filled = fill_chats(self._frames, chats, self._is_suspicious)
        return [None if each is None else Text(*each) for each in filled]

    def _is_suspicious(self, text: str) -> bool:
        if not any(hint in text for hint in self._hints):
            return False
        return CLOSED in text or (self._control is not None and self._control.search(text) is not None)

    def _read_marked(self, turns: list[Turn], answers: list[int]) -> tuple[str, tuple[Span, ...]]:
        rendered = self._try_render(turns, None)
        return rendered, tuple(self._find_spans(turns, None, rendered, answers).values())

    def _read(
        self, turns: list[Turn], weights: Sequence[float], tools: Any, rendered: str, answers: list[int]
    ) -> Text:
        self._refuse_ignored_calls(turns, tools, rendered)
        reasons = {at: _explain_weight(turns[at], weights[at]) for at in answers}
        spans = self._find_spans(turns, tools, rendered, [at for at in answers if not reasons[at]])
        reasons |= {at: UNFOUND for at in answers if not reasons[at] and at not in spans}
        missed = tuple(reason for reason in reasons.values() if reason)
        if not spans:
            raise UnusableRow(f"no answer can be trained on: {missed[0]}")
        return Text(rendered, tuple(spans.values()), missed, self._list_remarks(turns, tools, rendered))

    # -- answer spans ------------------------------------------------------------------------------

    def _find_spans(self, turns: list[Turn], tools: Any, rendered: str, wanted: list[int]) -> dict[int, Span]:
        """The span of each wanted answer that can be located."""
        marked = self._find_generated(turns, tools, rendered)
        speakers = [at for at, turn in enumerate(turns) if turn["role"] == "assistant"]
        if len(marked) == len(speakers):
            return {
                at: self._remove_header(turns, tools, at, rendered, span)
                for at, span in zip(speakers, marked, strict=True)
                if at in wanted
            }
        located: dict[int, Span] = {}
        place = 0
        for at in wanted:
            span = self._find_span(turns, tools, at, rendered)
            if span is not None and place <= span[0] < span[1]:
                located[at] = span
                place = span[1]
        return located

    def _find_generated(self, turns: list[Turn], tools: Any, rendered: str) -> list[Span]:
        """The spans that the template itself marks as generated; [] where it marks none."""
        try:
            template = self._tokenizer.get_chat_template(None, tools)
            if not GENERATION.search(template):
                return []
            texts_, spans = render_jinja_template(
                [turns], tools=tools, chat_template=template, return_assistant_tokens_mask=True,
                **self._names,
            )  # fmt: skip
        except Exception:  # custom tokenizers and templates may raise anything
            return []
        return [(int(begin), int(end)) for begin, end in spans[0]] if texts_[0] == rendered else []

    def _remove_header(self, turns: list[Turn], tools: Any, at: int, rendered: str, span: Span) -> Span:
        header = self._find_header(turns, tools, at)
        inside = rendered[slice(*span)].startswith(header) and len(header) < span[1] - span[0]
        return (span[0] + len(header), span[1]) if inside else span

    def _find_header(self, turns: list[Turn], tools: Any, at: int) -> str:
        """What the generation prompt adds before turn ``at``."""
        before = self._try_render(turns[:at], tools, generation=True)
        return before.removeprefix(self._try_render(turns[:at], tools))

    def _find_span(self, turns: list[Turn], tools: Any, at: int, rendered: str) -> Span | None:
        before = self._try_render(turns[:at], tools, generation=True)
        after = self._try_render(turns[: at + 1], tools)
        has_header = bool(before) and rendered.startswith(before)
        if has_header and after and rendered.startswith(after) and len(before) < len(after):
            return len(before), len(after)
        mark = self._mark(rendered)
        marked = [turn | {"content": mark} if place == at else turn for place, turn in enumerate(turns)]
        head, tail = _split_around(self._try_render(marked, tools), mark)
        if head is None or not rendered.endswith(tail):
            return None
        if not has_header and not rendered.startswith(head):
            return None
        opening, ending = _split_around(self._try_render(marked[: at + 1], tools), mark)
        header = self._find_header(turns, tools, at)
        end = len(rendered) - len(tail) + len(self._find_ending(tail, ending, header).rstrip())
        asks = bool(before) and (opening or "").startswith(before)
        begin = len(head.removesuffix((opening or "")[len(before) :])) if asks else len(head)
        return len(before) if has_header else begin, end

    def _find_ending(self, tail: str, ending: str, header: str) -> str:
        """The end of the turn within ``tail``, the text after an answer: as far as it is also the ``ending``
        of a chat that stops there; else its first control token, unless the next turn begins with that."""
        shared = ""
        for piece in self._split_pieces(ending):
            if not tail.startswith(shared + piece):
                break
            shared += piece
        first = next(iter(self._split_pieces(tail)), "")
        if not shared.strip() and self._control and self._control.fullmatch(first):
            return first if not header.startswith(first) else shared
        return shared

    def _split_pieces(self, text: str) -> list[str]:
        """Split a text into control tokens and the parts between them."""
        if self._control is None:
            return [text] if text else []
        pieces, at = list[str](), 0
        for match in self._control.finditer(text):
            pieces += [text[at : match.start()], match.group()]
            at = match.end()
        return [piece for piece in [*pieces, text[at:]] if piece]

    @staticmethod
    def _mark(rendered: str) -> str:
        number = 0
        while (mark := f"zq{number}qz") in rendered:
            number += 1
        return mark

    # -- refusals and remarks ----------------------------------------------------------------------

    def control_token_remarks(self, text: str) -> tuple[str, ...]:
        """A remark on plain text with control tokens, which is trained on: users who render chats themselves
        write such text."""
        match = self._control.search(text) if self._control else None
        if match is None:
            return ()
        token = sanitize(match.group(), 40)
        return (f"the text contains control tokens such as {token!r}, which are tokenized as control tokens",)

    def _refuse_control_tokens(self, turns: list[Turn], tools: Any) -> None:
        if self._control is None:
            return
        if tools or any(turn.keys() != PLAIN or turn["role"] not in STANDARD for turn in turns):
            parts = list_texts([turns, tools])
        else:
            parts = (turn["content"] for turn in turns)
        for part in parts:
            match = self._control.search(part)
            if match:
                raise UnusableRow(f"a turn contains the control token {sanitize(match.group(), 40)!r}")

    def _refuse_ignored_calls(self, turns: list[Turn], tools: Any, rendered: str) -> None:
        """Refuse a chat whose template omits tool calls: the answer would be trained on as an empty one."""
        for at, turn in enumerate(turns):
            if turn.get("tool_calls"):
                without = {key: value for key, value in turn.items() if key != "tool_calls"}
                if self._try_render([*turns[:at], without, *turns[at + 1 :]], tools) == rendered:
                    raise UnusableRow("the chat template omits tool calls")

    def _list_remarks(self, turns: list[Turn], tools: Any, rendered: str) -> tuple[str, ...]:
        remarks = []
        if tools and self._try_render(turns, None) == rendered:
            remarks.append("the chat template omits the tools")
        if any(thought not in rendered for turn in turns for thought in _list_thoughts(turn)):
            remarks.append("the chat template omits the thoughts of answers, so they are not trained on")
        for at, turn in enumerate(turns):
            words = turn["content"].strip()
            if (
                words
                and words not in rendered
                and CLOSED not in words
                and self._is_ignored(turns, tools, at, rendered)
            ):
                remarks.append(f"the chat template omits a turn of the {sanitize(turn['role'], 40)}")
        return tuple(dict.fromkeys(remarks))

    def _is_ignored(self, turns: list[Turn], tools: Any, at: int, rendered: str) -> bool:
        mark = self._mark(rendered)
        return mark not in self._try_render(
            [*turns[:at], turns[at] | {"content": mark}, *turns[at + 1 :]], tools
        )

    # -- rendering ---------------------------------------------------------------------------------

    def _render(self, turns: list[Turn], tools: Any, generation: bool = False) -> str:
        try:
            return str(self._apply(turns, tools or None, generation))
        except Exception as error:  # templates may raise anything
            raise UnusableRow(f"the chat template rejects it: {sanitize(str(error), 120)}") from error

    def _apply(self, turns: list[Turn], tools: Any, generation: bool) -> Any:
        """Call the template as ``apply_chat_template`` does, without its work for each call."""
        if self._template is None:
            return self._tokenizer.apply_chat_template(
                turns, tools=tools, tokenize=False, add_generation_prompt=generation
            )
        template = self._template if not tools else self._tokenizer.get_chat_template(None, tools)
        (text,), _ = render_jinja_template(
            [turns], tools=tools, chat_template=template, add_generation_prompt=generation, **self._names
        )
        return text

    def _render_probes(self) -> Render | None:
        try:
            compiled = _compile_jinja_template(self._template) if self._template is not None else None
            return compiled and render_probes(compiled, str(self._template), self._names)
        except Exception:  # a template that cannot be compiled is told of when a chat is rendered
            return None

    def _try_render(self, turns: list[Turn], tools: Any, generation: bool = False) -> str:
        """Render a part or a variant of the chat; "" where the template rejects it."""
        try:
            return self._render(turns, tools, generation) if turns else ""
        except UnusableRow:
            return ""


def _find_template(tokenizer: Any) -> str | None:
    """The template of chats without tools; None for a tokenizer that renders chats in a way of its own."""
    base = PreTrainedTokenizerBase
    if getattr(type(tokenizer), "apply_chat_template", None) is not base.apply_chat_template:
        return None
    try:
        return str(tokenizer.get_chat_template(None, None))
    except ValueError:  # it has none, or several without a default
        return None


def _explain_weight(turn: Turn, weight: float) -> str:
    """Why an answer is not a target; "" where it is."""
    if weight == 0:
        return UNWEIGHTED
    says = turn["content"].strip() or turn.get("tool_calls") or any(turn.get(key) for key in THOUGHTS)
    return "" if says else EMPTY


def _list_thoughts(turn: Turn) -> list[str]:
    """The assistant's thoughts in the row: before </think> in the content, or in a key of their own."""
    if turn["role"] != "assistant":
        return []
    before, closed, _ = turn["content"].rpartition(CLOSED)
    thoughts = [before.split(OPEN)[-1]] if closed else []
    thoughts += [turn[key] for key in THOUGHTS if isinstance(turn.get(key), str)]
    return [thought.strip() for thought in thoughts if thought.strip()]


def _split_around(text: str, mark: str) -> tuple[str | None, str]:
    """Split a text at ``mark``; (None, "") unless it occurs exactly once."""
    parts: Sequence[str] = text.split(mark)
    return (parts[0], parts[1]) if len(parts) == 2 else (None, "")
