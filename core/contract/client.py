"""The one way to talk to an engine: attach and follow, or ask one thing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec

from core.contract import wire
from core.contract.state import State
from core.errors import EngineError, Problem, RefusedError

LARGEST_MESSAGE_BYTES = 512 << 20
ANSWER_TIMEOUT_S = 20.0


class Connection:
    """An attached console: ``messages()`` yields what the engine sends, ``ask`` waits for its reply."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[wire.Reply]] = {}
        self._last_id = 0

    async def messages(self) -> AsyncIterator[wire.Welcome | wire.Snapshot | wire.Changed]:
        """Welcome, Snapshot, then changes; ends when the engine goes away.

        Replies are handed to their askers. Raises EngineError for another protocol.
        """
        try:
            async for raw in self._socket:
                if raw.type is not aiohttp.WSMsgType.BINARY:
                    continue
                message = wire.read_to_console(raw.data)
                if isinstance(message, wire.Reply):
                    future = self._waiting.pop(message.id, None)
                    if future and not future.done():
                        future.set_result(message)
                    continue
                if isinstance(message, wire.Welcome) and message.protocol != wire.PROTOCOL:
                    raise EngineError.of(
                        f"the engine speaks protocol {message.protocol}, this console {wire.PROTOCOL}",
                        f"engine {message.pid}",
                        "let its studies finish, then `trimtab engine stop` and start again",
                    )
                yield message
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(EngineError.of("the engine went away before it answered"))
            self._waiting.clear()

    async def ask(self, request: wire.AnyRequest) -> wire.Answer | None:
        """Send ``request`` and wait until the engine has done it. Needs ``messages`` being read. Returns its
        answer where the request asks for one.

        Raises RefusedError with the engine's reason, EngineError when it does not answer.
        """
        self._last_id += 1
        number = self._last_id
        raw = wire.encode_request(wire.Ask(number, request))
        future: asyncio.Future[wire.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._socket.send_bytes(raw)
            reply = await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        except (TimeoutError, ConnectionError, aiohttp.ClientError) as error:
            raise EngineError.of(f"the engine did not answer: {error or 'time is up'}") from error
        finally:
            self._waiting.pop(number, None)
        raise_refusal(reply)
        return reply.answer

    async def close(self) -> None:
        """Detach; the engine and its studies go on."""
        with contextlib.suppress(Exception):
            await self._socket.close()
        await self._session.close()


def raise_refusal(reply: wire.Reply) -> None:
    """Raise RefusedError for a refusal."""
    if not reply.ok:
        raise RefusedError.of(reply.what, reply.where, reply.fix)


def _session(socket: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(socket)))


def _unreachable(socket: Path, error: Exception) -> EngineError:
    return EngineError(
        Problem(f"no engine answers: {error}", str(socket), "start it with `trimtab run SPEC`")
    )


async def attach(socket: Path) -> Connection:
    """Connect to the engine at ``socket``. Raises EngineError when none answers."""
    session = _session(socket)
    try:
        connection = await session.ws_connect(
            "http://engine/ws", params={"from": "console"}, max_msg_size=LARGEST_MESSAGE_BYTES, heartbeat=30.0
        )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        await session.close()
        raise _unreachable(socket, error) from error
    return Connection(session, connection)


async def fetch_state(socket: Path) -> State:
    """The state now. Raises EngineError when no engine answers."""
    async with _session(socket) as session:
        try:
            async with session.get("http://engine/state") as response:
                return msgspec.json.decode(await response.read(), type=State)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(socket, error) from error


async def request(socket: Path, what: wire.AnyRequest) -> wire.Answer | None:
    """One request without attaching; returns its answer if any.

    Raises RefusedError, or EngineError when no engine answers.
    """
    body = wire.encode_request(what, as_json=True)
    async with _session(socket) as session:
        try:
            async with session.post("http://engine/request", data=body) as response:
                reply = msgspec.json.decode(await response.read(), type=wire.Reply)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise _unreachable(socket, error) from error
    raise_refusal(reply)
    return reply.answer
