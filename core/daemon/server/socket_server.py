"""The engine's socket: HTTP for single requests, one WebSocket per console and per worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from core.contract import input_size_limits
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, local_socket, message_codec, worker_api
from core.contract.wire.answers.data_messages import AskDataReview
from core.contract.wire.socket_peer import is_welcome
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.server.worker_inbox import WorkerInbox
from core.errors import TrimtabError

log = logging.getLogger("trimtab.server")

SELDOM_S = 60.0
MOST_UNANSWERED = 512  # requests of one console
LARGEST_REQUEST_BYTES = 8 << 20
ONLY_READS = "this console only reads: the engine takes no request from it that changes something"
Handle = Callable[[console_api.AnyRequest], Awaitable[console_api.Answer | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Seldom:
    """A warning that anybody can trigger, limited to one line a minute with a count so that it cannot fill
    the disk."""

    def __init__(self) -> None:
        self._said_at, self._unsaid = -SELDOM_S, 0

    def say(self, text: str, *arguments: object) -> None:
        """Log the message now, or count it."""
        if time.monotonic() - self._said_at < SELDOM_S:
            self._unsaid += 1
            return
        log.warning(f"{text} (and %d times before)", *arguments, self._unsaid)
        self._said_at, self._unsaid = time.monotonic(), 0


_strangers = Seldom()


def _refuse_message(error: msgspec.DecodeError, location: str, fix: str) -> console_api.Reply:
    """Return the refusal of a message that is not a request, or has a value beyond its bounds."""
    message = input_size_limits.explain_error(error)
    if message != str(error):
        return console_api.Reply(0, False, sanitize(message, 300), "request", "give a value within the bound")
    return console_api.Reply(0, False, sanitize(f"not a request: {error}", 300), location, fix)


@web.middleware
async def refuse_other_users(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse every other user, whatever the file modes are."""
    transport = request.transport
    if not is_welcome(transport.get_extra_info("socket") if transport else None):
        _strangers.say("a connection of another user was refused")
        raise web.HTTPForbidden(text="this engine belongs to another user\n")
    return await handler(request)


class Server:
    """Serves on the Unix socket until closed."""

    def __init__(
        self, committer: EventCommitter, hub: Hub, telling: WorkerInbox, handle: Handle, version: str
    ) -> None:
        self._committer, self._hub, self._telling = committer, hub, telling
        self._handle, self._version = handle, version
        self._nonsense = Seldom()
        app = web.Application(middlewares=[refuse_other_users], client_max_size=LARGEST_REQUEST_BYTES)
        app.router.add_get("/health", self._answer_health)
        app.router.add_get("/state", self._answer_state)
        app.router.add_post("/request", self._post)
        app.router.add_get("/ws", self._serve_websocket)
        logging.getLogger("aiohttp.server").addFilter(self._is_ours)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    def _is_ours(self, record: logging.LogRecord) -> bool:
        """Tell whether the log record is about a fault of the engine; a connection that is not HTTP is
        none."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._nonsense.say("a request is not HTTP: %s", sanitize(str(error), 100))
            return False
        return True

    async def open(self, socket: Path) -> None:
        """Listen at ``socket``; a stale one is removed first (the caller holds the engine's lock)."""
        await self._runner.setup()
        await web.SockSite(self._runner, local_socket.open_listening(socket)).start()

    async def close(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    # -- HTTP --------------------------------------------------------------------------------------

    async def _answer_health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "pid": os.getpid(),
                "version": self._version,
                "protocol": console_api.PROTOCOL,
                "trouble": self._committer.trouble,
            }
        )

    async def _answer_state(self, request: web.Request) -> web.Response:
        body = msgspec.json.encode(self._committer.state)
        return web.Response(body=body, content_type="application/json")

    async def _post(self, request: web.Request) -> web.Response:
        try:
            message = message_codec.read_request(await request.read())
        except msgspec.DecodeError as error:
            reply = _refuse_message(error, "POST /request", "see core/contract/wire/console_api.py")
        else:
            reply = await self._reply(0, message)
        return web.Response(
            body=message_codec.encode_reply(reply, as_json=True), content_type="application/json"
        )

    async def _reply(self, number: int, message: console_api.AnyRequest) -> console_api.Reply:
        try:
            answer = await self._handle(message)
        except TrimtabError as error:
            first = error.problems[0]
            text = first.what if len(error.problems) == 1 else str(error)
            return console_api.Reply(number, False, text, first.where, first.fix)
        except Exception as error:
            log.exception("request %.2000r", message)
            text = sanitize(f"the engine failed: {type(error).__name__}: {error}", 300)
            return console_api.Reply(number, False, text, "engine", "its log has the details: `trimtab logs`")
        return console_api.Reply(number, True, answer=answer)

    # -- WebSockets --------------------------------------------------------------------------------

    async def _serve_websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=LARGEST_REQUEST_BYTES, heartbeat=30.0)
        await socket.prepare(request)
        if request.query.get("from") == "worker":
            await self._serve_worker(socket)
        else:
            await self._serve_console(socket, read_only=request.query.get("only") == "reading")
        return socket

    async def _serve_console(self, socket: web.WebSocketResponse, read_only: bool) -> None:
        await socket.send_bytes(
            message_codec.encode(console_api.Welcome(console_api.PROTOCOL, os.getpid(), self._version))
        )
        feed = asyncio.create_task(self._feed(socket))
        answers: set[asyncio.Task[None]] = set()
        try:
            async for message in socket:
                if len(answers) >= MOST_UNANSWERED:  # it sends requests and does not read the answers
                    break
                if message.type is WSMsgType.BINARY:
                    task = asyncio.create_task(self._answer(socket, message.data, read_only))
                    answers.add(task)
                    task.add_done_callback(answers.discard)
        finally:
            feed.cancel()

    async def _feed(self, socket: web.WebSocketResponse) -> None:
        """Send all changes to a console until the connection breaks.

        A console that cannot be sent a message is disconnected: it attaches again and gets a snapshot.
        """
        try:
            await self._hub.serve(socket.send_bytes)
        except (ConnectionError, RuntimeError) as error:
            log.info("a console's line broke: %s", error)
        except Exception:
            log.exception("a console cannot be sent what happens")
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.close()

    async def _answer(self, socket: web.WebSocketResponse, raw: bytes, read_only: bool) -> None:
        try:
            ask = message_codec.read_from_console(raw)
        except msgspec.DecodeError as error:
            reply = _refuse_message(error, "console", "use the same version of trimtab")
        else:
            if read_only and not isinstance(ask.request, console_api.READING):
                reply = console_api.Reply(ask.id, False, ONLY_READS, "--read-only", "open one without it")
            else:
                begins = read_only and isinstance(ask.request, AskDataReview)
                request = msgspec.structs.replace(ask.request, only_known=True) if begins else ask.request
                reply = await self._reply(ask.id, request)
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.send_bytes(message_codec.encode_reply(reply))

    async def _serve_worker(self, socket: web.WebSocketResponse) -> None:
        worker = None
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY:
                    continue
                report = message_codec.read_from_worker(message.data)
                if isinstance(report, worker_api.Hello):
                    worker = self._telling.register(report, socket.send_bytes)
                    if worker is None:
                        await socket.send_bytes(
                            message_codec.encode(worker_api.Shutdown("this engine does not know the worker"))
                        )
                        return
                elif worker is not None:
                    self._telling.receive(worker, report)
        except msgspec.DecodeError as error:
            self._nonsense.say("a worker sent an invalid message: %s", input_size_limits.explain_error(error))
            if worker is not None:  # the worker would resend it forever
                self._telling.end_faulty(worker, input_size_limits.explain_error(error))
        finally:
            if worker is not None and worker.send == socket.send_bytes:
                worker.send = None
