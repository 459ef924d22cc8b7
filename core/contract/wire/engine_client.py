"""Connect to an engine: attach and follow it, or send a single request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from core.contract.process_identity import is_stopped
from core.contract.state.engine_state import State
from core.contract.wire import console_api, local_socket, message_codec
from core.contract.wire.aiohttp_connector import OwnConnector
from core.contract.wire.engine_health_check import SILENT_S, describe_health, explain_silence
from core.errors import EngineError, RefusedError

T = TypeVar("T")
LARGEST_MESSAGE_BYTES = 512 << 20
LOOK_S = 1.0  # between two checks that an engine which has not answered yet exists
TICK_S = 0.5  # between two pings of a console
SOON_TICKS = 4  # without an answer: the console reports it


class Connection:
    """An attached console: ``messages()`` yields what the engine sends, ``ask`` waits for its reply.

    The engine answers a ping whatever it is doing. ``silence`` is called with a text if it has not, and with
    an empty text when it answers again.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        connector: OwnConnector,
        silence: Callable[[str], None],
    ) -> None:
        self._session = session
        self._socket = socket
        self._address, self._pid = connector.address, connector.pid
        self._silence, self._said = silence, ""
        self._waiting: dict[int, asyncio.Future[console_api.Reply]] = {}
        self._last_id = 0
        self._ticks = 0  # since the engine's last message: a stall of this event loop counts as one
        self._pinging = asyncio.ensure_future(self._ping())

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError, RuntimeError):
            while True:
                if self._ticks < SOON_TICKS:  # later ones would only fill the line
                    await self._socket.ping()
                await asyncio.sleep(TICK_S)
                self._ticks += 1
                if self._ticks > SOON_TICKS and not self._said:
                    self._say(describe_health(self._pid, self._ticks * TICK_S))

    def _note_message(self) -> None:
        self._ticks = 0
        self._say("")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._silence(text)

    async def receive_messages(
        self,
    ) -> AsyncIterator[console_api.Welcome | console_api.Snapshot | console_api.Changed]:
        """Yield Welcome, Snapshot, then changes, until the engine disconnects; replies go to the callers of
        ``ask``.

        Raises EngineError for another protocol version.
        """
        try:
            async for raw in self._socket:
                self._note_message()
                if raw.type is aiohttp.WSMsgType.PING:
                    await self._socket.pong(raw.data)
                if raw.type is not aiohttp.WSMsgType.BINARY:
                    continue
                message = message_codec.read_to_console(raw.data)
                if isinstance(message, console_api.Reply):
                    future = self._waiting.pop(message.id, None)
                    if future and not future.done():
                        future.set_result(message)
                    continue
                if isinstance(message, console_api.Welcome) and message.protocol != console_api.PROTOCOL:
                    raise EngineError.of(
                        f"the engine speaks protocol {message.protocol}, this console {console_api.PROTOCOL}",
                        f"engine {message.pid}",
                        "let its studies finish, then `trimtab engine stop` and start again",
                    )
                yield message
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(EngineError.of("the engine went away before it answered"))
                    future.exception()  # retrieved: the caller may have left, too
            self._waiting.clear()

    async def ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        """Send ``request``, wait until the engine has done it, and return its answer, if any.

        ``messages`` must be read meanwhile. Raises RefusedError with the engine's reason, EngineError if the
        engine does not respond at all; an engine that works on the request is waited for.
        """
        self._last_id += 1
        number = self._last_id
        raw = message_codec.encode_request(console_api.Ask(number, request))
        future: asyncio.Future[console_api.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._socket.send_bytes(raw)
            while not future.done():
                await asyncio.wait([future], timeout=TICK_S)
                if not future.done() and self._ticks * TICK_S > SILENT_S:
                    raise explain_silence(self._address, self._pid, self._ticks * TICK_S)
            reply = future.result()
        except (ConnectionError, aiohttp.ClientError) as error:
            raise EngineError.of(f"the engine did not answer: {error}", str(self._address)) from error
        finally:
            self._waiting.pop(number, None)
        raise_refusal(reply)
        return reply.answer

    async def close(self) -> None:
        """Detach; the engine and its studies continue."""
        self._pinging.cancel()
        with contextlib.suppress(Exception):
            await self._socket.close()
        await self._session.close()


def raise_refusal(reply: console_api.Reply) -> None:
    """Raise RefusedError if the reply is a refusal."""
    if not reply.ok:
        raise RefusedError.of(reply.what, reply.where, reply.fix)


def _make_session(connector: OwnConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))


async def _retry_patiently(
    address: Path, connector: OwnConnector, work: Coroutine[Any, Any, T], last_s: float
) -> T:
    """Return the result of ``work``, however long the engine takes.

    Raises EngineError if the engine answers no health check either, for ``last_s``.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_S)
            if not task.done() and not await _has_answered(address, task, last_s - LOOK_S):
                raise explain_silence(address, connector.pid, last_s)
        return task.result()
    except (aiohttp.ClientError, OSError) as error:
        raise local_socket.explain_absence(address, str(error)) from error
    finally:
        task.cancel()


async def _has_answered(address: Path, task: asyncio.Task[Any], within_s: float) -> bool:
    """Tell whether the engine answers a health check or finishes ``task``; False at once if its process is
    stopped."""
    connector = OwnConnector(address)
    async with _make_session(connector) as session:
        asking = asyncio.ensure_future(session.get("http://engine/health"))
        try:
            deadline = asyncio.get_running_loop().time() + within_s
            while not (asking.done() or task.done()) and asyncio.get_running_loop().time() < deadline:
                if is_stopped(connector.pid):
                    return False
                await asyncio.wait([task, asking], timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                (await asking).close()
            return asking.done() or task.done()
        finally:
            asking.cancel()


async def attach(
    address: Path,
    silence: Callable[[str], None] = lambda text: None,
    within_s: float = SILENT_S,
    read_only: bool = False,
) -> Connection:
    """Connect to the engine at ``address``; from a ``read_only`` connection the engine takes no request that
    changes something. Raises EngineError if none answers within ``within_s``."""
    connector = OwnConnector(address)
    session = _make_session(connector)
    params = {"from": "console"} | ({"only": "reading"} if read_only else {})
    joining = session.ws_connect(
        "http://engine/ws", params=params, max_msg_size=LARGEST_MESSAGE_BYTES, autoping=False
    )
    try:
        socket = await _retry_patiently(address, connector, joining, within_s)
    except BaseException:
        await session.close()
        raise
    return Connection(session, socket, connector, silence)


async def fetch_state(address: Path) -> State:
    """Return the present state. Raises AbsentError without an engine, EngineError if it does not answer."""
    connector = OwnConnector(address)
    async with _make_session(connector) as session:

        async def fetch() -> bytes:
            async with session.get("http://engine/state") as response:
                return await response.read()

        raw = await _retry_patiently(address, connector, fetch(), SILENT_S)
    return _decode_answer(address, raw, State)


async def request(address: Path, message: console_api.AnyRequest) -> console_api.Answer | None:
    """Send one request without attaching, and return its answer, if any.

    Raises RefusedError; AbsentError without an engine, EngineError if it does not answer.
    """
    body = message_codec.encode_request(message, as_json=True)
    connector = OwnConnector(address)
    async with _make_session(connector) as session:

        async def post() -> bytes:
            async with session.post("http://engine/request", data=body) as response:
                return await response.read()

        raw = await _retry_patiently(address, connector, post(), SILENT_S)
    reply = _decode_answer(address, raw, console_api.Reply)
    raise_refusal(reply)
    return reply.answer


def _decode_answer(address: Path, raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        message = f"the engine's answer cannot be read: {error}"
        fix = "its version may differ: let its studies finish, then `trimtab engine stop` and start again"
        raise EngineError.of(message, str(address), fix) from error
