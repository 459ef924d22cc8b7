"""``python -m tests.bench.demo``: the demo study from nothing, by the clock of somebody who waits for it.

It runs without a console in an empty home with empty caches, so the base's conversion is part of it; only the
files that the kernel has read before are warm. With --again the study runs a second time in the same home, by
the same engine, under another name, as soon as the engine has a spare worker ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from tests.bench.demo_figures import Figures, table
from tests.bench.live import base_of, empty_home, told
from tests.daemon.conftest import Engine

SPARE_WITHIN_S = 30.0
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.toml"


def spec(options: argparse.Namespace, engine: Engine) -> dict[str, Any]:
    """The study as the engine takes it."""
    raw = spec_file.convert_to_raw(spec_file.load(options.config))
    if options.base:
        raw["model"]["base"] = base_of(engine, options.base)
    return raw


async def watch(engine: Engine, raw: dict[str, Any], figures: Figures) -> None:
    """Start the study and follow it until it has ended. Raises RefusedError, EngineError."""
    name = raw["study"]["name"]
    connection = await engine_client.attach(engine.socket)

    async def read() -> None:
        async for now, state, event in told(connection):
            study = state.studies.get(name)
            if study is None or (event is not None and event.study != name):
                continue
            figures.take(now, study, event)
            if study.state not in s.LIVE_STUDY:
                return

    reading = asyncio.create_task(read())
    try:
        await connection.ask(console_api.StartStudy(raw, by="bench"))
        await reading
    finally:
        reading.cancel()
        await connection.close()


def run(engine: Engine, raw: dict[str, Any], figures: Figures, until: float) -> None:
    """One study, for as long as there is time."""

    async def bounded() -> None:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await watch(engine, raw, figures)

    try:
        asyncio.run(bounded())
    except TimeoutError:
        figures.cut_short = "time was up"


def wait_for_spare(engine: Engine) -> None:
    """Until the engine's spare worker has its libraries, as it has when a person starts the next study."""
    log, deadline = engine.home / "engine.log", time.monotonic() + SPARE_WITHIN_S
    while time.monotonic() < deadline and "libraries loaded in" not in log.read_text():
        time.sleep(0.2)


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, columns: list[Figures]) -> None:
    """Fill ``columns``; what was seen before an interruption stays in them."""
    until = time.monotonic() + options.limit
    with empty_home(options.keep_home, options.load) as engine:
        raw = spec(options, engine)
        columns.append(Figures(time.monotonic(), say))
        engine.start()
        columns[0].reached("engine up", time.monotonic())
        run(engine, raw, columns[0], until)
        if options.again and not columns[0].cut_short:
            wait_for_spare(engine)
            raw["study"]["name"] += "-again"
            columns.append(Figures(time.monotonic(), say))
            run(engine, raw, columns[1], until)


def main() -> int:
    """Measure, and print the table whatever came between."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--load", type=int, default=0, metavar="N", help="busy processes beside it")
    options.add_argument("--keep-home", action="store_true", help="the temporary home stays, and is named")
    options.add_argument("--config", type=Path, default=CONFIG, help="another study")
    options.add_argument("--base", help='instead of model.base; "tiny" is made on the spot')
    options.add_argument("--again", action="store_true", help="a second time, with warm caches")
    options.add_argument("--limit", type=float, default=900.0, metavar="S", help="seconds for all of it")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    chosen = options.parse_args()
    columns: list[Figures] = []
    try:
        measure(chosen, columns)
    except KeyboardInterrupt:
        for one in columns:
            one.cut_short = one.cut_short or "interrupted"
    print(table(columns), flush=True)
    if chosen.json is not None:
        about = {"load": chosen.load, "cores": os.cpu_count(), "config": str(chosen.config)}
        chosen.json.write_text(
            json.dumps({**about, "runs": [column.as_json() for column in columns]}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
