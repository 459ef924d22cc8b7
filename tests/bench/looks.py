"""``python -m tests.bench.looks``: how long importance and the search's state take, by trials in the storage.

Each figure is one short-lived process as the engine starts it: its start, reading all trials, the answer.
``cpu`` is what of it the process computed; on a busy machine the rest is waiting.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy

from core.contract.wire.search_state import METHODS
from core.search.process import storage_reader_client
from core.search.study.optuna_study import OptunaStudy
from tests.bench.asks import rows
from tests.search import studies

SIZES = (100, 1_000, 10_000)


def cpu_s() -> float:
    """Seconds that ended child processes have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def filled(folder: str, count: int) -> Any:
    """A storage with ``count`` trials, four fifths of them complete."""
    oracle = OptunaStudy(studies.raw("tpe", studies.SPACE), folder)
    with oracle.study._storage._backend.engine.begin() as connection:  # past Optuna: its door takes minutes
        for model, values in rows(oracle, count).items():
            if values:
                connection.execute(sqlalchemy.insert(model), values)
    return studies.spec("tpe", studies.SPACE)


async def measure(count: int) -> None:
    """A line for each question."""
    with tempfile.TemporaryDirectory() as folder:
        spec = filled(folder, count)
        for what in (*METHODS, "state"):
            begun, before = time.perf_counter(), cpu_s()
            if what == "state":
                told = f"{len((await storage_reader_client.ask_state(spec, Path(folder))).sampler)} lines"
            else:
                found = await storage_reader_client.ask_importance(spec, Path(folder), what, 0)
                told = found.why_none or f"from {found.trials:,} of {found.known:,}"
            taken, used = time.perf_counter() - begun, cpu_s() - before
            print(f"{what:<10} {count:>7,} trials {taken:>7.2f} s {used:>7.2f} s cpu   {told}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for size in SIZES:
        asyncio.run(measure(size))
