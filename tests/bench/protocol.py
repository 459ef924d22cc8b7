"""Nonsense for a living engine: ``python -m tests.bench.protocol [--count 100000] [--seed 1]``.

Four of five are valid messages of every kind with one field mutated; the rest random bytes, damaged requests,
deep and oversized messages, half requests and strange workers, by every door of the socket. Printed: what
came back, inputs per second, the engine's memory and deaths, and whether its study went on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import psutil

from core.contract.wire import message_codec
from tests.bench import protocol_inputs, protocol_mutants
from tests.bench.protocol_inputs import http
from tests.daemon.conftest import Engine

AT_ONCE = 8
ANSWER_S = 20.0
MOST_GROWN = 64 << 20  # bytes
MUTANTS = 0.8  # of the inputs
LEFT_OPEN = 200  # connections that say half a word and stay


async def attack(socket: Path, count: int, seed: int) -> Counter[str]:
    """Send ``count`` inputs, shared out over the doors; what came back, by kind."""
    draw, seen = random.Random(seed), Counter[str]()
    left_open = [await _half_open(socket) for _ in range(LEFT_OPEN)]
    connector = aiohttp.UnixConnector(path=str(socket), limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        doors = [_post] * 4 + [_console] * 2 + [_worker] + [_raw]
        shares = [count // len(doors)] * len(doors)
        shares[0] += count - sum(shares)
        await asyncio.gather(
            *(
                door(session, socket, random.Random(draw.random()), share, seen)
                for door, share in zip(doors, shares, strict=True)
            )
        )
    for writer in left_open:
        writer.close()
    return seen


async def _half_open(socket: Path) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(b"POST /request HTTP/1.1\r\nHost: e\r\nContent-Le")
    return writer


def posted(draw: random.Random) -> bytes:
    """A body: a mutant of a request, or nonsense."""
    return (protocol_mutants if draw.random() < MUTANTS else protocol_inputs).posted(draw)


def from_console(draw: random.Random) -> bytes:
    """A message on a console's line."""
    return (protocol_mutants if draw.random() < MUTANTS else protocol_inputs).from_console(draw)


def from_worker(draw: random.Random) -> list[bytes]:
    """What a worker that is none says."""
    if draw.random() < MUTANTS:
        return [
            message_codec.encode(protocol_mutants.HELLO),
            *(protocol_mutants.from_worker(draw) for _ in range(2)),
        ]
    return protocol_inputs.from_worker(draw)


async def _post(session, socket: Path, draw: random.Random, count: int, seen: Counter[str]) -> None:
    for _ in range(count):
        try:
            async with session.post("http://engine/request", data=posted(draw)) as reply:
                seen[f"POST {reply.status}{_of(await reply.read())}"] += 1
        except aiohttp.ClientError as error:
            seen[f"POST {type(error).__name__}"] += 1


async def _console(session, socket: Path, draw: random.Random, count: int, seen: Counter[str]) -> None:
    """Messages on a console's line; answered, or hung up upon and opened again."""
    sent = 0
    while sent < count:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            line = await session.ws_connect("http://engine/ws", params={"from": "console"}, max_msg_size=0)
            seen["console lines"] += 1
            for _ in range(min(500, count - sent)):
                sent += 1
                await line.send_bytes(from_console(draw))
            await line.close()


async def _worker(session, socket: Path, draw: random.Random, count: int, seen: Counter[str]) -> None:
    for _ in range(count):
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            line = await session.ws_connect("http://engine/ws", params={"from": "worker"})
            for message in from_worker(draw):
                await line.send_bytes(message)
            await line.close()
            seen[f"worker closed with {line.close_code}"] += 1


def _of(body: bytes) -> str:
    """Done, refused in words, or a fault of the engine's own that it told of."""
    if b"the engine failed" in body or b"the engine cannot take it" in body:
        return ", a fault"
    return ", done" if b'"ok":true' in body else ", refused" if b'"ok":false' in body else ""


async def _raw(session, socket: Path, draw: random.Random, count: int, seen: Counter[str]) -> None:
    for _ in range(count):
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket))
            writer.write(http(draw))
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(64), ANSWER_S)
            seen[f"raw {answer[9:12].decode(errors='replace') or 'closed'}"] += 1
            writer.close()
        except OSError as error:
            seen[f"raw {type(error).__name__}"] += 1


def run(count: int, seed: int) -> tuple[bool, list[str]]:
    """Attack an engine with a running study. Is all well, and what is to be said."""
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:
        engine = Engine(Path(folder) / "home").start()
        try:
            return _run(engine, count, seed)
        finally:
            engine.end()


def _run(engine: Engine, count: int, seed: int) -> tuple[bool, list[str]]:
    assert engine.process is not None
    engine.run(study={"trials": 2}, train={"steps": 100_000_000})
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "the study runs")
    process = psutil.Process(engine.process.pid)
    before, began, step = process.memory_info().rss, time.perf_counter(), engine.trial(0).step
    seen = asyncio.run(attack(engine.socket, count, seed))
    took_s = time.perf_counter() - began
    deaths = 0 if engine.process.poll() is None else 1
    after = process.memory_info().rss
    study = engine.until_study(lambda study: study.trials[0].step > step + 10, "the study goes on")
    faults = (engine.home / "engine.log").read_text(errors="replace").count("Traceback")
    grown = after - before
    well = (
        grown < MOST_GROWN
        and list(engine.state().studies) == ["s"]
        and study.state == "running"
        and not faults
        and not deaths
        and not any("a fault" in kind for kind in seen)
    )
    lines = [
        f"{count} inputs, {count / took_s:.0f}/s, seed {seed}",
        *(f"  {number:>7}  {kind}" for kind, number in sorted(seen.items())),
        f"engine: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after",
        f"{deaths} deaths, {faults} tracebacks logged",
        f"study: {study.state}, trial 0 went from step {step} to {study.trials[0].step}",
        "all is well" if well else "NOT well",
    ]
    return well, lines


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.protocol", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    well, lines = run(options.count, options.seed)
    print("\n".join(lines))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
