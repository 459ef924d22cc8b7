"""A real engine process in a home of its own, with scripted workers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from core import paths
from core.contract.spec import spec_file
from core.contract.state.engine_state import State, Study, Trial
from core.contract.wire import console_api, engine_client
from core.daemon.server.engine_launch import read_health
from tests import zygote
from tests.zygote import Forked

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90.0
Answer = TypeVar("Answer")
# Where an engine's studies lie, unless the test's module has a STORAGE of its own. A reading costs a search
# process ten times as much in SQLite; that both hold the same is shown by tests/search/test_alike.py.
JOURNAL, SQLITE = "journal:${TRIMTAB_HOME}/optuna.log", ""


@functools.cache
def _make_loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def run_on_loop(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """As ``asyncio.run``, on one loop for all tests: each run would make a loop and a handler of Ctrl+C,
    a tenth of a look at the engine."""
    return _make_loop().run_until_complete(coroutine)


class Engine:
    """The engine's process, and one's own words to it. ``module`` is run as the engine."""

    storage = SQLITE  # of the studies that are started by ``run``

    def __init__(
        self, home: Path, worker: str = "tests.daemon.scripted_worker", module: str = "core.daemon"
    ) -> None:
        self.home, self.worker, self.module = home, worker, module
        self.socket = paths.socket_path(home)
        self.process: Forked | subprocess.Popen[bytes] | None = None

    def start(self) -> Engine:
        """Start it and wait until it answers."""
        paths.make_private(self.home)
        zygote.ready("search")
        if zygote.kind_of(self.worker) == "worker":
            zygote.ready("worker")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRIMTAB_HOME": str(self.home)}
        command = [sys.executable, "-P", "-m", self.module, "--worker-module", self.worker]
        with (self.home / "engine.log").open("ab") as log:
            self.process = zygote.started(command, stdout=log, stderr=log, cwd=self.home, env=environment)
        self.until(lambda: read_health(self.socket), "the engine answers")
        return self

    def until(self, true: Callable[[], Any], what: str) -> Any:
        """Wait for a condition, with a generous deadline."""
        deadline, pause_s = time.monotonic() + DEADLINE_S, 0.01
        while time.monotonic() < deadline:
            found = true()
            if found:
                return found
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 1.3)  # each look is a connection and a snapshot: work for two
        raise AssertionError(f"in vain: {what}\n{(self.home / 'engine.log').read_text()[-3000:]}")

    def state(self) -> State:
        """What the engine says."""
        return run_on_loop(engine_client.fetch_state(self.socket))

    def study(self, name: str = "s") -> Study:
        return self.state().studies[name]

    def trial(self, number: int, name: str = "s") -> Trial:
        return self.study(name).trials[number]

    def ask(self, request: console_api.AnyRequest) -> Any:
        return run_on_loop(engine_client.request(self.socket, request))

    def run(self, **sections: dict[str, Any]) -> None:
        """Start a study."""
        sections["study"] = {"storage": self.storage, **sections.get("study", {})}
        self.ask(console_api.StartStudy(raw_study(**sections)))

    def until_study(self, is_true: Callable[[Study], Any], what: str) -> Study:
        def found() -> Study | None:
            study = self.state().studies.get("s")
            return study if study is not None and is_true(study) else None

        return self.until(found, what)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[psutil.Process]:
        """The worker processes of this home, whoever their parent is."""
        found = []
        for one in psutil.process_iter(["cmdline"]):
            line = one.info["cmdline"] or []
            if self.worker in line and any(str(self.home) in part for part in line):
                found.append(one)
        return found

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE_S)
            self.process.kill()
        for worker in self.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def raw_study(**sections: dict[str, Any]) -> dict[str, Any]:
    """A small study as the engine takes it."""
    raw: dict[str, dict[str, Any]] = {
        "study": {"name": "s", "trials": 3, "sampler": "random", "pruner": "none"},
        "model": {"base": "none"},
        "data": {"source": "none"},
        "train": {"steps": 20},
        "space": {"lora_rank": [2, 4, 8, 16, 32]},
        "evaluate": {"every": 5},
        "resources": {"devices": "cpu", "pack": 2},
    }
    for name, section in sections.items():
        raw[name] = {**raw.get(name, {}), **section}
    return spec_file.convert_to_raw(spec_file.parse(raw))


@pytest.fixture
def engine(tmp_path, request) -> Iterator[Engine]:
    one = Engine(tmp_path / "home")
    one.storage = getattr(request.module, "STORAGE", JOURNAL)
    one.start()
    yield one
    one.end()
