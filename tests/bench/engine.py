"""``python -m tests.bench.engine``: the engine's share of a core while trials report five times a second,
and how long a key takes to be acknowledged."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from core.contract.wire import console_api, engine_client
from tests.daemon.conftest import Engine

TRIALS, SECONDS, KEYS = 8, 30.0, 40


async def watch(engine: Engine) -> None:
    """Attach a console that reads, and print the figures."""
    connection = await engine_client.attach(engine.socket)
    reading = asyncio.create_task(read(connection))
    process = psutil.Process(engine.process.pid)
    children = [
        child for child in process.children() if "core.search.process.search_server" in child.cmdline()
    ]
    before, begun = spent_s([process]), time.monotonic()
    search_before = spent_s(children)
    await asyncio.sleep(SECONDS)
    wall_s = time.monotonic() - begun
    print(
        f"engine: {(spent_s([process]) - before) / wall_s:.1%} of a core ({TRIALS} trials, 5 reports/s each)"
    )
    print(f"search process: {(spent_s(children) - search_before) / wall_s:.1%} of a core")
    print(f"engine memory: {process.memory_info().rss / 2**20:.0f} MiB")
    delays = []
    for number in range(KEYS):
        pressed = time.monotonic()
        kind = console_api.PauseTrial if number % 2 == 0 else console_api.ResumeTrial
        await connection.ask(kind("s", 0))
        delays.append(1000 * (time.monotonic() - pressed))
    print(f"key to acknowledgement: median {statistics.median(delays):.1f} ms, worst {max(delays):.1f} ms")
    reading.cancel()
    await connection.close()


async def read(connection: engine_client.Connection) -> None:
    """Take all that comes."""
    async for _ in connection.receive_messages():
        pass


def spent_s(processes: list[psutil.Process]) -> float:
    """CPU time of the processes, without their children."""
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


def main() -> int:
    """Run it once in a home folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:
        engine = Engine(Path(folder) / "home", worker="tests.bench.reporting_worker").start()
        try:
            engine.run(study={"trials": TRIALS, "pruner": "median"}, resources={"pack": TRIALS})
            engine.until_study(
                lambda study: sum(t.step > 5 for t in study.trials.values()) == TRIALS, "all report"
            )
            asyncio.run(watch(engine))
        finally:
            engine.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
