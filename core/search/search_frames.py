"""What the engine and the search process say to each other: frames of msgpack over two pipes."""

from __future__ import annotations

import struct
from typing import Annotated, Any

import msgspec

LENGTH = struct.Struct(">I")  # bytes of the message that follows

Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]  # of a trial: Optuna's databases hold no larger one


class Call(msgspec.Struct, frozen=True):
    """One method of the oracle with its arguments."""

    method: str
    arguments: list[Any] = []


class Answer(msgspec.Struct, frozen=True):
    """What came of a call: a value, or the (what, where, fix) of each problem."""

    value: Any = None
    problems: list[tuple[str, str, str]] = []
    of_spec: bool = False


class Proposal(msgspec.Struct, frozen=True):
    """The next trial: ``params`` holds the searched knobs, ``knobs`` all of them."""

    number: Number
    params: dict[str, Any]
    knobs: dict[str, Any]
    why: str


def framed(message: Call | Answer) -> bytes:
    """``message`` with its length before it."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
