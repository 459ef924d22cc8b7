"""Encode and decode the messages between console, engine and workers; messages that cannot be decoded are
refused."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from core.contract import input_size_limits
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, worker_api
from core.errors import RefusedError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_pack = msgspec.msgpack.Encoder()


class _Decoder(Protocol[T_co]):
    def decode(self, raw: bytes, /) -> T_co: ...


_to_console: _Decoder[console_api.ToConsole] = msgspec.msgpack.Decoder(console_api.ToConsole)
_from_console: _Decoder[console_api.Ask] = msgspec.msgpack.Decoder(console_api.Ask)
_from_worker: _Decoder[worker_api.FromWorker] = msgspec.msgpack.Decoder(worker_api.FromWorker)
_to_worker: _Decoder[worker_api.ToWorker] = msgspec.msgpack.Decoder(worker_api.ToWorker)
_request: _Decoder[console_api.AnyRequest] = msgspec.json.Decoder(console_api.AnyRequest)


def encode(message: object) -> bytes:
    """Encode any message of either protocol as msgpack."""
    return _pack.encode(message)


def encode_request(request: console_api.Ask | console_api.AnyRequest, as_json: bool = False) -> bytes:
    """Encode ``request``. Raises RefusedError for values that the engine would refuse."""
    try:
        return msgspec.json.encode(request) if as_json else _pack.encode(request)
    except (ValueError, OverflowError, RecursionError) as error:
        place, wrong = input_size_limits.find_fault(request) or ("", f"it cannot be sent: {error}")
        raise RefusedError.of(f"{place.lstrip('.') or 'request'}: {wrong}", "request") from None


def encode_reply(reply: console_api.Reply, as_json: bool = False) -> bytes:
    """Encode ``reply``; if its answer cannot be encoded, a refusal that says so, so that every request gets a
    reply."""
    write = msgspec.json.encode if as_json else _pack.encode
    try:
        return write(reply)
    except (ValueError, OverflowError, RecursionError, TypeError) as error:
        message = sanitize(f"the answer cannot be written: {error}", 300)
        return write(
            console_api.Reply(reply.id, False, message, "engine", "its log holds more: `trimtab logs`")
        )


def _read(decoder: _Decoder[T], raw: bytes) -> T:
    """Decode a message. Raises msgspec.DecodeError, and nothing else, for anything else."""
    try:
        return decoder.decode(raw)
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error


def _check_bounds(request: T) -> T:
    """Check the bounds of tables that no type describes. Raises msgspec.DecodeError."""
    beyond = input_size_limits.find_fault(request)
    if beyond:
        raise msgspec.ValidationError(f"{beyond[1]} - at `${beyond[0]}`")
    return request


def read_request(raw: bytes) -> console_api.AnyRequest:
    """Decode a request from JSON. Raises msgspec.DecodeError for anything else."""
    return _check_bounds(_read(_request, raw))


def read_to_console(raw: bytes) -> console_api.ToConsole:
    """Decode a message. Raises msgspec.DecodeError on anything else."""
    return _read(_to_console, raw)


def read_from_console(raw: bytes) -> console_api.Ask:
    """Decode a message. Raises msgspec.DecodeError on anything else."""
    return _check_bounds(_read(_from_console, raw))


def read_from_worker(raw: bytes) -> worker_api.FromWorker:
    """Decode a message. Raises msgspec.DecodeError on anything else."""
    return _read(_from_worker, raw)


def read_to_worker(raw: bytes) -> worker_api.ToWorker:
    """Decode a message. Raises msgspec.DecodeError on anything else."""
    return _read(_to_worker, raw)
