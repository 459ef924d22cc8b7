"""The whole of trimtab on a tiny real model: console, engine, worker, Optuna, TensorBoard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import paths
from core.contract.state.engine_state import State, Study
from core.contract.wire import console_api, engine_client
from core.daemon.server.engine_launch import read_health
from core.errors import EngineError, TrimtabError
from tests import zygote
from tests.tiny import tiny_base, tiny_rows
from tests.zygote import Forked

DEADLINE_S = 90.0
TRIMTAB = Path(sys.executable).with_name("trimtab")

STUDY = """
[study]
name = "tiny"
trials = {trials}
startup_trials = 2
sampler = "tpe"
pruner = "none"
[model]
base = "{base}"
precision = "{precision}"
[data]
source = "{base}/rows.jsonl"
[train]
steps = {steps}
sequence_length = 32
learning_rate = 1e-2
[space]
lora_rank = [2, 4, 8]
lora_dropout = {{ low = 0.0, high = 0.2, step = 0.1 }}
target_modules = ["attention", ["q_proj", "v_proj"]]
[evaluate]
every = 5
rows = 8
[resources]
devices = "cpu"
pack = 2
checkpoint_every = 5
threads = 1
"""


class House:
    """A home folder, a study file, and the program."""

    def __init__(self, home: Path, base: Path) -> None:
        self.home, self.base = home, base
        self.socket = paths.socket_path(home)
        self.engine: Forked | None = None
        self.file = home.parent / "study.toml"

    def write(self, trials: int = 3, steps: int = 20, precision: str = "fp32") -> Path:
        self.file.write_text(STUDY.format(base=self.base, trials=trials, steps=steps, precision=precision))
        return self.file

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(paths.find_root()),
            "TRIMTAB_HOME": str(self.home),
            "TRIMTAB_CACHE": str(self.home.parent / "cache"),
        }

    def start(self) -> None:
        """An engine that is forked, and whose search and workers are: nothing is imported anew."""
        paths.make_private(self.home)
        zygote.ready("worker")
        with (self.home / "engine.log").open("ab") as log:
            command = [sys.executable, "-P", "-m", "core.daemon"]
            self.engine = Forked(command, stdout=log, stderr=log, cwd=self.home, env=self.environment)
        deadline = time.monotonic() + DEADLINE_S
        while not read_health(self.socket) and time.monotonic() < deadline:
            time.sleep(0.02)

    def trimtab(self, *arguments: str, code: int = 0) -> str:
        """What the program prints. Where the engine is forked, the program is, too."""
        where = {"env": self.environment, "cwd": self.home.parent}
        if self.engine is not None:
            done = zygote.run([sys.executable, "-P", "-m", "tui.entry_point", *arguments], **where)
        else:
            done = subprocess.run(
                [TRIMTAB, *arguments], capture_output=True, text=True, timeout=DEADLINE_S,
                stdin=subprocess.DEVNULL, **where,
            )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def state(self) -> State:
        return asyncio.run(engine_client.fetch_state(self.socket))

    def until(self, true: Callable[[Study], Any], what: str) -> Study:
        deadline = time.monotonic() + DEADLINE_S
        study = None
        while time.monotonic() < deadline:
            with contextlib.suppress(EngineError):  # it may not be up yet
                study = self.state().studies.get("tiny")
            if study is not None and true(study):
                return study
            time.sleep(0.1)
        lines = [line.text for line in study.lines] if study else []
        raise AssertionError(f"in vain: {what}\n" + "\n".join(lines[-20:]))

    def end(self) -> None:
        if read_health(self.socket):
            with contextlib.suppress(TrimtabError):
                asyncio.run(engine_client.request(self.socket, console_api.StopEngine(force=True)))
        deadline = time.monotonic() + DEADLINE_S
        while read_health(self.socket) and time.monotonic() < deadline:
            time.sleep(0.1)


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    folder = tiny_base(tmp_path_factory.mktemp("base"))
    tiny_rows(folder / "rows.jsonl")
    return folder


@pytest.fixture
def cold(tmp_path, base) -> Iterator[House]:
    """Nothing runs: the program starts its engine itself, and that its search and workers."""
    one = House(tmp_path / "home", base)
    yield one
    one.end()


@pytest.fixture
def house(cold) -> House:
    """Its engine is there."""
    cold.start()
    return cold
