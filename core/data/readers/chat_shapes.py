"""Finds chats among the columns of a source, and their system prompts and tools."""

from __future__ import annotations

import json
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.readers import column_guess as guess
from core.data.readers.chat_turns import is_turns, parse_list, to_turns
from core.data.readers.column_guess import Columns
from core.data.readers.row_shape import Canonical, Raw, Shape, add_verdict
from core.data.readers.row_values import UnusableRow, read_text


def find_chat(columns: Columns, data: DataOptions) -> Shape | None:
    names = guess.list_names(data, "messages_key")
    column = columns.find(names, is_turns)
    if not column:
        return None
    first = next(
        turns[0] for value in columns.list_values(column) if is_turns(value) and (turns := parse_list(value))
    )
    notes = list[str]()
    if "from" in first:
        notes.append(f"read as ShareGPT: the column {sanitize(column, 60)!r} has turns with from and value")
    elif column != data.messages_key:
        notes.append(f"read as chats: the column {sanitize(column, 60)!r} has turns with role and content")
    return add_verdict(make_chat(column, columns, tuple(notes)), columns)


def make_chat(column: str, columns: Columns, notes: tuple[str, ...]) -> Shape:
    system, tools = find_system_and_tools(columns)

    def convert(raw: Raw) -> Canonical:
        turns = to_turns(raw.get(column))
        if not turns:
            raise UnusableRow(
                f"{sanitize(column, 60)} is not a list of turns" if column in raw else "no messages"
            )
        row: Canonical = {"messages": turns}
        if system in raw:
            row["messages"] = [*make_system_turn(raw, system, turns), *turns]
        return row | read_tools(raw, tools) if tools in raw else row

    return Shape(convert, (column, system, tools), notes)


def find_system_and_tools(columns: Columns) -> tuple[str, str]:
    return columns.find_optional(guess.SYSTEMS, guess.is_text), columns.find_optional(
        guess.TOOLS, guess.is_filled
    )


def make_system_turn(raw: Raw, column: str, turns: list[Any]) -> list[Any]:
    """The turn of the column with the system prompt, where the chat has none of its own."""
    system_text = raw.get(column) if column else None
    first = turns[0] if turns and isinstance(turns[0], dict) else {}
    if system_text in (None, "") or first.get("role") == "system":
        return []
    return [{"role": "system", "content": read_text(system_text, column)}]


def read_tools(raw: Raw, column: str) -> Canonical:
    """The row's tools: a list, or a list as JSON text; OpenAI's older functions are wrapped. Raises
    UnusableRow."""
    tools = raw.get(column) if column else None
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError:
            raise UnusableRow(f"{column} is text, but not JSON") from None
    if tools and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise UnusableRow(f"{column} is not a list of objects")
    if tools and column == "functions":
        tools = [{"type": "function", "function": tool} for tool in tools]
    return {"tools": tools} if tools else {}
