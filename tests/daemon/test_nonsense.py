"""Nobody who speaks nonsense on the socket stops a study; tests.bench.protocol sends far more of it."""

import asyncio

import aiohttp
import msgspec
import psutil
import pytest

from core.contract.wire import console_api, message_codec, worker_api
from tests.bench import protocol

pytestmark = pytest.mark.real


def test_thousands_of_damaged_messages_by_every_door_change_nothing():
    well, said = protocol.run(count=1000, seed=7)
    assert well, "\n".join(said)


@pytest.mark.parametrize(
    "raw", [b"[" * 200_000, b"\xff\xfe", b'{"type":"stop-study","study":"\xc1"}', b"", b"null"]
)
def test_what_is_no_request_is_answered_in_words(raw):
    with pytest.raises(msgspec.DecodeError):
        message_codec.read_request(raw)


async def introduced(socket, hello: worker_api.Hello) -> worker_api.ToWorker:
    """The engine's answer to a Hello."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(socket))) as session:
        line = await session.ws_connect("http://engine/ws", params={"from": "worker"})
        await line.send_bytes(message_codec.encode(hello))
        return message_codec.read_to_worker((await line.receive()).data)


def test_nobody_takes_the_place_of_a_worker(engine):
    engine.run(study={"trials": 1}, train={"steps": 100_000})
    study = engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "it runs")
    trial = study.trials[0]
    hello = worker_api.Hello(console_api.PROTOCOL, trial.worker, 1, "s", "cpu", (0,))
    assert isinstance(asyncio.run(introduced(engine.socket, hello)), worker_api.Shutdown)
    engine.until_study(lambda study: study.trials[0].step > trial.step + 10, "the true one goes on")


def test_nothing_listens_on_the_network(engine):
    engine.run(study={"trials": 1}, train={"steps": 100_000})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "it runs")
    searches = [
        one
        for one in psutil.process_iter(["cmdline"])
        if "core.search.process.search_server" in (one.info["cmdline"] or [])
    ]
    family = [psutil.Process(engine.process.pid), *searches, *engine.workers()]
    assert len(family) >= 3, "engine, search and worker"
    assert [found for one in family if one.is_running() for found in one.net_connections("inet")] == []
