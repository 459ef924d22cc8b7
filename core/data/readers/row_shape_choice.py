"""Chooses how the rows of a source are read, once, from its first rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.readers import column_guess as guess
from core.data.readers.chat_shapes import find_chat, make_chat
from core.data.readers.column_guess import Columns
from core.data.readers.pair_shapes import find_classes, find_pair, find_preference, make_pair
from core.data.readers.row_shape import Raw, Shape
from core.data.readers.row_values import read_text
from core.errors import TrimtabError

Finder = Callable[[Columns, DataOptions], Shape | None]


class UnknownColumnsError(TrimtabError):
    """No column of the rows is known, or none has a usable value."""


def choose(rows: Sequence[Raw], data: DataOptions) -> Shape:
    """Choose the most specific shape that half of the rows have; else one that any row has.

    Raises UnknownColumnsError.
    """
    for share in (0.5, 0.0):
        columns = Columns(rows, share)
        for finder in _list_finders(data):
            shape = finder(columns, data)
            if shape is not None:
                return shape
    shape = _find_by_names(columns, data)
    if shape is None:
        raise _explain_nothing_fits(columns, data)
    return shape


def _list_finders(data: DataOptions) -> tuple[Finder, ...]:
    by_format: dict[str, tuple[Finder, ...]] = {
        "chat": (find_chat,), "instruction": (find_preference, find_pair, find_classes),
        "text": (_find_text,),
    }  # fmt: skip
    if data.format in by_format:
        return by_format[data.format]
    named = {key for key, _ in guess.KEYS if guess.is_named(data, key)}
    finders: list[Finder] = [find_chat] if "messages_key" in named else []
    finders += [find_preference, find_pair] if named & {"prompt_key", "completion_key"} else []
    finders += [_find_text] if "text_key" in named else []
    return tuple(finders) or (find_preference, find_chat, find_pair, find_classes, _find_text)


def _find_by_names(columns: Columns, data: DataOptions) -> Shape | None:
    """Take the columns that the study file or its defaults name, whatever they hold: each row then has a
    reason."""
    if data.format in ("auto", "chat") and columns.has(data.messages_key):
        return make_chat(data.messages_key, columns, ())
    pair = data.prompt_key, data.completion_key
    if data.format in ("auto", "instruction") and all(map(columns.has, pair)):
        return make_pair(*pair, columns, ())
    if data.format in ("auto", "text") and columns.has(data.text_key):
        return _make_text(data.text_key, ())
    return None


def _explain_nothing_fits(columns: Columns, data: DataOptions) -> UnknownColumnsError:
    column_names = sanitize(", ".join(map(str, columns.names[: guess.MOST_COMPARED])), 200) or "none"
    kind = "" if data.format == "auto" else f" as {data.format!r}"
    named = [
        f"data.{key} = {getattr(data, key)!r}"
        for key, _ in guess.KEYS
        if guess.is_named(data, key) and not columns.has(getattr(data, key))
    ]
    nearest = guess.suggest_keys(columns, data)
    fix = f"perhaps: {sanitize(nearest, 200)} in [data]" if nearest else (
        "name the columns with data.messages_key, prompt_key and completion_key, or text_key"
    )  # fmt: skip
    message = f"the rows cannot be read{kind}; their columns are: {column_names}"
    if named:
        message = f"the rows have no column for {named[0]}; their columns are: {column_names}"
    return UnknownColumnsError.of(message, "", fix)


def _find_text(columns: Columns, data: DataOptions) -> Shape | None:
    column = columns.find(guess.list_names(data, "text_key"), guess.is_text)
    if not column:
        return None
    is_own = column == data.text_key
    return _make_text(column, () if is_own else (f"read as text: the column {column!r} is learnt",))


def _make_text(column: str, notes: tuple[str, ...]) -> Shape:
    return Shape(lambda raw: {"text": read_text(raw.get(column), column)}, (column,), notes)
