"""The engine's socket: reached however long its path is, and only where no other user stands in its place."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from core.contract.wire import engine_client, local_socket, socket_peer
from core.contract.wire.engine_health_check import read_health
from core.errors import EngineError
from tests.stranger import as_stranger, needs_root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def engine(home: Path) -> Iterator[Path]:
    """Something of this user's that listens and says nothing."""
    address = home / "engine.sock"
    with local_socket.open_listening(address) as line:
        line.listen()
        yield address


def refused(address: Path) -> str:
    with pytest.raises(EngineError) as told:
        local_socket.connect(address)
    problem = told.value.problems[0]
    assert problem.where and problem.fix, "an error has three parts"
    return problem.what


def test_a_home_of_any_length_is_reached_from_anywhere(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["d" * 200] * 4)
    deep.mkdir(mode=0o700, parents=True)
    with local_socket.open_listening(deep / "engine.sock") as line:
        line.listen()
        assert (deep / "engine.sock").stat().st_mode & 0o777 == 0o600
        for other in ("one", "two"):
            (tmp_path / other).mkdir()
            monkeypatch.setenv("TMPDIR", str(tmp_path / other))
            connection, pid = local_socket.connect(deep / "engine.sock")
            connection.close()
            assert pid == os.getpid() and list((tmp_path / other).iterdir()) == []


def test_a_long_home_without_proc_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(local_socket.Path, "exists", lambda self: False)
    deep = tmp_path / ("d" * 120)
    deep.mkdir(mode=0o700)
    with pytest.raises(EngineError, match="too long for a socket"):
        local_socket.open_listening(deep / "engine.sock")


def test_an_engine_of_ones_own_is_believed(engine):
    connection, pid = local_socket.connect(engine)
    connection.close()
    assert pid == os.getpid()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_home_that_others_may_write_to_is_not_believed(engine, mode):
    engine.parent.chmod(mode)
    assert "other users may write into the home folder" in refused(engine)


def test_a_link_or_a_file_in_the_place_of_home_or_socket_is_not_followed(engine, tmp_path):
    (tmp_path / "link").symlink_to(engine.parent)
    assert "a link" in refused(tmp_path / "link" / "engine.sock")
    (engine.parent / "other.sock").symlink_to(engine)
    assert "is not a socket" in refused(engine.parent / "other.sock")
    (tmp_path / "file").write_text("")
    assert "a file" in refused(tmp_path / "file" / "engine.sock")


def test_where_none_listens_no_engine_is_there(engine, tmp_path):
    left = engine.parent / "left.sock"
    local_socket.open_listening(left).close()
    for address in (left, engine.parent / "none.sock", tmp_path / "none" / "engine.sock"):
        with pytest.raises(local_socket.AbsentError):
            local_socket.connect(address)
        assert read_health(address) is None


@needs_root
def test_the_home_of_another_user_is_not_believed(engine):
    os.chown(engine.parent, 65534, 65534)
    assert "belongs to another user, nobody (uid 65534)" in refused(engine)


@needs_root
def test_the_socket_of_another_user_is_not_believed(engine):
    os.chown(engine, 65534, 65534)
    assert "the engine's socket belongs to another user" in refused(engine)


@needs_root
def test_a_listener_of_another_user_hears_not_a_word(home):
    """The last line: though folder and socket look like ours, the kernel tells who listens."""
    address = home / "engine.sock"
    listen = (
        "line = socket.socket(fileno=3); line.listen(); print('ready', flush=True)\n"
        "line.settimeout(20); heard = line.accept()[0]; heard.settimeout(20); print(len(heard.recv(4096)))"
    )
    with local_socket.open_listening(address) as line:
        stranger = as_stranger(listen, passed=line)
    assert stranger.stdout is not None and stranger.stdout.readline() == "ready\n"
    assert "a process of another user, nobody (uid 65534), answers there" in refused(address)
    assert stranger.communicate(timeout=30)[0] == "0\n"


@needs_root
@pytest.mark.parametrize(
    "call", [engine_client.fetch_state, engine_client.attach, lambda at: engine_client.request(at, None)]
)
def test_no_client_speaks_to_a_stranger(engine, call):
    os.chown(engine, 65534, 65534)
    with pytest.raises(EngineError, match="belongs to another user"):
        asyncio.run(call(engine))


def test_the_peers_user_is_asked_for_where_the_system_has_another_call(monkeypatch):
    class Line:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            return (0).to_bytes(4, sys.byteorder) + (501).to_bytes(4, sys.byteorder) + bytes(size - 8)

    monkeypatch.delattr(sockets, "SO_PEERCRED")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert socket_peer.read_peer(Line()) == (501, 0)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "sunos5")
    assert socket_peer.read_peer(Line()) == (None, 0) and socket_peer.is_ours(None)  # type: ignore[arg-type]


# -- an engine that is there and says nothing ------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch):
    """Patience in hundredths of a second."""
    for name, value in (("LOOK_S", 0.02), ("SILENT_S", 0.1), ("TICK_S", 0.02)):
        monkeypatch.setattr(engine_client, name, value)
    monkeypatch.setattr("core.contract.wire.engine_health_check.SILENT_S", 0.1)


@pytest.mark.parametrize(
    "call", [engine_client.fetch_state, engine_client.attach, lambda at: engine_client.request(at, None)]
)
def test_an_engine_that_says_nothing_is_named_within_seconds(engine, hurried, call):
    with pytest.raises(EngineError, match=rf"the engine \(process {os.getpid()}\) does not answer") as told:
        asyncio.run(call(engine))
    assert not isinstance(told.value, local_socket.AbsentError), "it is there"
    assert told.value.exit_code == 3 and str(os.getpid()) in told.value.problems[0].fix
    with pytest.raises(EngineError, match="does not answer"):
        read_health(engine)


async def serve(address: Path, answer_s: float) -> web.AppRunner:
    """An engine whose answers to requests take long, while its loop turns."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"pid": 1})

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(answer_s)
        return web.Response(body=b'{"id": 0, "ok": true}')

    application = web.Application()
    application.router.add_get("/health", health)
    application.router.add_post("/request", slow)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, local_socket.open_listening(address)).start()
    return runner


async def test_an_engine_at_work_on_a_long_request_is_waited_for(home, hurried):
    runner = await serve(home / "engine.sock", answer_s=0.5)
    try:
        assert await engine_client.request(home / "engine.sock", None) is None
    finally:
        await runner.cleanup()
