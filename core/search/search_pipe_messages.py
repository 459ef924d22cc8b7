"""The messages between the engine and the search process: msgpack frames over two pipes."""

from __future__ import annotations

import struct
from typing import Annotated, Any

import msgspec

LENGTH = struct.Struct(">I")  # bytes of the message that follows

Number = Annotated[
    int, msgspec.Meta(ge=0, le=2**31 - 1)
]  # a trial's number: Optuna's databases cannot store larger ones


class Call(msgspec.Struct, frozen=True):
    """A method call with its arguments."""

    method: str
    arguments: list[Any] = []


class Answer(msgspec.Struct, frozen=True):
    """The result of a call: a value, or (what, where, fix) of each problem."""

    value: Any = None
    problems: list[tuple[str, str, str]] = []
    of_spec: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """The next trial: ``params`` holds the searched knobs, ``knobs`` all of them."""

    number: Number
    params: dict[str, Any]
    knobs: dict[str, Any]
    why: str


def encode_frame(message: Call | Answer) -> bytes:
    """Encode ``message`` with its length as a prefix."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
