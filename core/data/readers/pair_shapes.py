"""Finds prompts and completions among the columns of a source: also preference pairs and labelled texts."""

from __future__ import annotations

from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.formats.numbers_as_written import ClassNumber
from core.data.readers import column_guess as guess
from core.data.readers.chat_shapes import find_system_and_tools, make_system_turn, read_tools
from core.data.readers.chat_turns import is_turns, to_turns
from core.data.readers.column_guess import Columns
from core.data.readers.preference_to_chosen import join_pair
from core.data.readers.row_shape import Canonical, Raw, Shape, add_verdict
from core.data.readers.row_values import UnusableRow, read_text

# A column that completes the prompt column, as Alpaca, Dolly and SQuAD have them: joined by an empty line.
JOINED = {"instruction": ("input", "context"), "question": ("context",)}


def find_preference(columns: Columns, data: DataOptions) -> Shape | None:
    if guess.is_named(data, "completion_key"):
        return None
    pairs = ([columns.find([name]) for name in pair] for pair in guess.PREFERENCES)
    chosen, rejected = next((pair for pair in pairs if all(pair)), ("", ""))
    if not chosen:
        return None
    prompt = columns.find(guess.list_names(data, "prompt_key")) or columns.find(guess.CHATS, is_turns)
    system, tools = find_system_and_tools(columns)
    is_chat = bool(columns.find([chosen], is_turns))

    def convert(raw: Raw) -> Canonical:
        question = raw.get(prompt) if prompt else None
        pair = join_pair(question, raw.get(chosen), raw.get(rejected), is_chat)
        return _add_system(pair, raw, system) | read_tools(raw, tools)

    note = f"read as preference pairs: the answers of the column {chosen!r} are learnt, as in SFT"
    return Shape(convert, (prompt, chosen, system, tools), (note,))


def find_pair(columns: Columns, data: DataOptions) -> Shape | None:
    own = columns.find([data.prompt_key]), columns.find([data.completion_key])
    if all(own):
        return add_verdict(make_pair(*own, columns, ()), columns)
    prompt = columns.find(guess.list_names(data, "prompt_key"), guess.is_readable)
    others = [name for name in guess.list_names(data, "completion_key") if name != prompt]
    completion = columns.find(others, guess.is_readable)
    is_named = any(guess.is_named(data, key) for key in ("prompt_key", "completion_key"))
    is_multiple_choice = columns.find(["choices"]) and not is_named  # the answer may be an index
    if not prompt or not completion or prompt == completion or is_multiple_choice:
        return None
    title = "Alpaca" if (prompt, completion) == ("instruction", "output") else "prompts and completions"
    note = (
        f"read as {title}: the column {sanitize(prompt, 60)!r} asks, {sanitize(completion, 60)!r} is learnt"
    )
    return add_verdict(make_pair(prompt, completion, columns, (note,)), columns)


def make_pair(prompt: str, completion: str, columns: Columns, notes: tuple[str, ...]) -> Shape:
    used = (prompt, completion)
    more = [name for name in JOINED.get(prompt.lower(), ()) if name not in used]
    joined = columns.find_optional(more, guess.is_text)
    system, tools = find_system_and_tools(columns)
    history = columns.find_optional(["history"], lambda value: isinstance(value, list))
    is_chat = [bool(columns.find([name], is_turns)) for name in used]

    def convert(raw: Raw) -> Canonical:
        question, answer = (
            _convert_side(raw.get(name), name, chat) for name, chat in zip(used, is_chat, strict=True)
        )
        if joined and isinstance(question, str):
            question = _join(question, raw, joined)
        pair = {"prompt": question, "completion": answer}
        if history and raw.get(history):
            pair = _add_history(pair, raw[history])
        return _add_system(_make_even(pair), raw, system) | read_tools(raw, tools)

    if joined in columns.list_filled():
        notes = (*notes, f"the column {sanitize(joined, 60)!r} is appended to the prompt")
    return Shape(convert, (*used, joined, system, tools, history), notes)


def _convert_side(value: Any, name: str, is_chat: bool) -> str | list[Any]:
    """A prompt or a completion: turns, also as JSON text with ``is_chat``; else text. Raises UnusableRow."""
    if (is_chat or not isinstance(value, str)) and is_turns(value):
        return to_turns(value)
    return read_text(value, name)


def _join(prompt: str, raw: Raw, column: str) -> str:
    """The prompt, followed by the column that completes it where the row fills that."""
    value = raw.get(column)
    more = read_text(value, column) if value is not None else ""
    return f"{prompt}\n\n{more}" if more.strip() else prompt


def _add_history(pair: Canonical, history: Any) -> Canonical:
    """Add the exchanges before the prompt, each a list with what was asked and what was answered."""
    turns = list[Any]()
    for exchange in history if isinstance(history, list) else [history]:
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise UnusableRow("history is not a list of pairs")
        roles = zip(("user", "assistant"), exchange, strict=True)
        turns += [{"role": role, "content": read_text(content, "history")} for role, content in roles]
    question = pair["prompt"]
    question = [{"role": "user", "content": question}] if isinstance(question, str) else question
    return pair | {"prompt": [*turns, *question]}


def _make_even(pair: Canonical) -> Canonical:
    """Both sides as texts, or both as turns."""
    prompt, completion = pair["prompt"], pair["completion"]
    if isinstance(prompt, str) and not isinstance(completion, str):
        return {"prompt": [{"role": "user", "content": prompt}], "completion": completion}
    if isinstance(completion, str) and not isinstance(prompt, str):
        return {"prompt": prompt, "completion": [{"role": "assistant", "content": completion}]}
    return pair


def _add_system(pair: Canonical, raw: Raw, column: str) -> Canonical:
    system_text = raw.get(column) if column else None
    if system_text in (None, ""):
        return pair
    if isinstance(pair["prompt"], str):
        return pair | {"system": read_text(system_text, column)}
    return pair | {"prompt": [*make_system_turn(raw, column, pair["prompt"]), *pair["prompt"]]}


def find_classes(columns: Columns, data: DataOptions) -> Shape | None:
    if any(guess.is_named(data, key) for key in ("prompt_key", "completion_key")):
        return None
    column = columns.find(guess.list_names(data, "text_key"), lambda value: isinstance(value, str))
    label = columns.find(guess.LABELS, guess.is_label)
    if not column or not label:
        return None

    def convert(raw: Raw) -> Canonical:
        value = raw.get(label)
        if isinstance(value, ClassNumber) and not value.name:
            raise UnusableRow(f"{label} is {int(value)}, which is no class")
        return {"prompt": read_text(raw.get(column), column), "completion": read_text(value, label)}

    note = f"read as classification: the column {column!r} asks, {label!r} is learnt"
    if all(
        isinstance(value, int) and not isinstance(value, ClassNumber | bool)
        for value in columns.list_values(label)
    ):
        note += " as a number: the classes have no names"
    return Shape(convert, (column, label), (note + "; data.format = 'text' learns the text instead",))
