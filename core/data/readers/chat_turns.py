"""Parses the turns of a chat: roles and keys by any of their names, and the weight of each turn."""

from __future__ import annotations

import json
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.readers.row_values import UnusableRow, is_encodable, read_content

Turn = dict[str, Any]
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # keys of a turn
STANDARD = ("user", "assistant", "system", "tool")
ROLES = {  # names that data sets use, in lower case
    "human": "user", "prompter": "user", "person": "user", "gpt": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "claude": "assistant", "model": "assistant",
    "bot": "assistant", "ai": "assistant", "function": "tool", "observation": "tool",
    "tool_response": "tool", "function_response": "tool", "tool_result": "tool",
    **{name: name for name in STANDARD},
}  # fmt: skip
CALLS = ("function_call", "tool_call", "function_calls", "tool_calls")  # roles: the text is a call, as JSON
ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")
HUMAN, REPLY = "\n\nHuman:", "\n\nAssistant:"  # of Anthropic's preference pairs


def is_turns(value: Any) -> bool:
    """Tell whether a value of a row is a list of turns, or such a list as JSON text."""
    turns = parse_list(value)
    return bool(turns) and all(
        isinstance(turn, dict) and any(isinstance(turn.get(key), str) for key in ROLE_KEYS) for turn in turns
    )


def parse_list(value: Any) -> list[Any]:
    """Return a list as it is, one that is JSON text parsed, and an object as a list with one item; else
    []."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    if isinstance(value, dict):
        return [value]
    return list(value) if isinstance(value, list | tuple) else []


def to_turns(value: Any) -> list[Any]:
    """Return the turns with the keys ``role`` and ``content``, and the roles user, assistant, system and
    tool; what has no role is left as it is. Raises UnusableRow."""
    if type(value) is list:
        for turn in value:
            if type(turn) is not dict or not _is_standard(turn):
                break
        else:
            return value
    return [
        turn if not isinstance(turn, dict) or _is_standard(turn) else _to_turn(turn)
        for turn in parse_list(value)
    ]


def _is_standard(turn: Turn) -> bool:
    return turn.get("role") in STANDARD and "content" in turn and "function_call" not in turn


def _to_turn(turn: Turn) -> Turn:
    named = next((turn[key] for key in ROLE_KEYS if isinstance(turn.get(key), str)), None)
    if named is None:
        return turn
    role = named.strip().lower()
    key = next((key for key in CONTENT_KEYS if turn.get(key) is not None), "content")
    content = turn.get(key)
    others = {name: item for name, item in turn.items() if name not in (*ROLE_KEYS, *CONTENT_KEYS)}
    called = others.pop("function_call", None)
    if role in CALLS:
        role, called, others["tool_calls"] = "assistant", None, _list_calls(content)
        content = None if others["tool_calls"] else content
    if isinstance(called, dict):  # as in OpenAI's older files
        others["tool_calls"] = [{"type": "function", "function": called}]
    return {"role": ROLES.get(role, named), "content": content} | others


def _list_calls(content: Any) -> list[Any] | None:
    """Return the calls that a text holds as JSON: an object with name and arguments, or several; else
    None."""
    calls = parse_list(content)
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        return None
    return [{"type": "function", "function": call} for call in calls]


def split_dialogue(text: str) -> list[Turn]:
    """Return the turns of a text with paragraphs that begin with "Human:" and "Assistant:"; [] for any
    other."""
    turns = list[Turn]()
    if not text.startswith(HUMAN):
        return turns
    for part in text.split(HUMAN)[1:]:
        question, *replies = part.split(REPLY)
        turns.append({"role": "user", "content": question.strip()})
        turns += [{"role": "assistant", "content": reply.strip()} for reply in replies]
    return turns


def split_turns(messages: Any) -> tuple[list[Turn], list[float]]:
    """Parse the turns, each with a role and text, and the weight of each. Raises UnusableRow."""
    if not isinstance(messages, list | tuple) or not messages:
        raise UnusableRow("messages is not a list of turns")
    turns, weights = list[Turn](), list[float]()
    for message in messages:
        if _is_plain(message):
            turns.append(dict(message))
            weights.append(1)
            continue
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UnusableRow("a turn has no role or no content")
        speaks = message.get("content") is not None
        if not speaks and message["role"] != "assistant":
            raise UnusableRow("a turn has no role or no content")
        weights.append(_find_weight(message))
        words = read_content(message["content"]) if speaks else ""
        turn = {
            key: value
            for key, value in message.items()
            if value is not None and key not in ("weight", "train")
        }
        turns.append(turn | {"content": words})
    return turns, weights


def _is_plain(message: Any) -> bool:
    """Tell whether a turn has nothing but a role and a text, as most have."""
    if type(message) is not dict or len(message) != 2:
        return False
    words = message.get("content")
    return type(message.get("role")) is str and type(words) is str and is_encodable(words)


def _find_weight(message: Turn) -> float:
    """Return 0 for a turn that is not trained on: by ``weight``, as in OpenAI's files, or by ``train``."""
    weight, train = message.get("weight", 1), message.get("train", True)
    if weight not in (0, 1, None):
        raise UnusableRow(f"a turn has the weight {sanitize(str(weight), 40)}, which must be 0 or 1")
    if train not in (True, False, None):
        raise UnusableRow(f"a turn has train = {sanitize(str(train), 40)}, which must be true or false")
    return 0 if weight == 0 or (train is not None and not train) else 1
