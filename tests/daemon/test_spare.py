"""A spare worker: ready before a study needs it, and used only where it is what would have been started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core import cpu_count, paths
from core.daemon.workers import spare_worker
from core.daemon.workers.spare_worker import SpareWorker

HERE = {**os.environ, "PYTHONPATH": str(paths.find_root()), "HF_HOME": "/models", cpu_count.THREADS: "2"}


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpareWorker]:
    monkeypatch.setattr(spare_worker, "MODULE", "tests.daemon.waiting_spare")
    made = SpareWorker()
    yield made
    made.drop()


def taken(worker: SpareWorker, tmp_path: Path, module: str = spare_worker.FOR, **changed: str) -> Any:
    output = tmp_path / "worker.log"
    return worker.take(module, ["study", "cpu-1", "cpu"], {**HERE, **changed}, output, tmp_path)


def process_of(worker: SpareWorker) -> psutil.Process:
    assert worker._process is not None
    return psutil.Process(worker._process.pid)


def test_the_spare_worker_is_what_would_have_been_started(waiting: SpareWorker, tmp_path: Path) -> None:
    waiting.keep(HERE)
    process = taken(waiting, tmp_path, **{cpu_count.THREADS: "1"})
    assert process.wait(30) == 0
    said = json.loads((tmp_path / "worker.log").read_text())
    assert said["arguments"] == ["study", "cpu-1", "cpu"]
    assert said["folder"] == str(tmp_path)
    assert said["environment"]["HF_HOME"] == "/models"
    assert said["environment"][cpu_count.THREADS] == "1", "the share of the CPUs is that of the start"
    assert taken(waiting, tmp_path) is None, "it is used once"


@pytest.mark.parametrize("other", [{"HF_HOME": "/elsewhere"}, {"CUDA_VISIBLE_DEVICES": "1"}, {"NEW": "1"}])
def test_a_spare_worker_of_another_environment_is_ended_unused(
    waiting: SpareWorker, tmp_path: Path, other: dict[str, str]
) -> None:
    waiting.keep(HERE)
    was = process_of(waiting)
    assert taken(waiting, tmp_path, **other) is None
    assert not was.is_running()


def test_another_kind_of_worker_gets_no_spare(waiting: SpareWorker, tmp_path: Path) -> None:
    waiting.keep(HERE)
    assert taken(waiting, tmp_path, "tests.daemon.scripted_worker") is None


def test_one_waits_at_a_time_and_for_the_latest_environment(waiting: SpareWorker) -> None:
    waiting.keep(HERE)
    first = process_of(waiting)
    waiting.keep(HERE)
    assert process_of(waiting) == first
    waiting.keep({**HERE, "HF_HOME": "/elsewhere"})
    assert process_of(waiting) != first
    assert not first.is_running()


def test_a_spare_worker_that_ended_is_not_used(waiting: SpareWorker, tmp_path: Path) -> None:
    waiting.keep(HERE)
    assert waiting._process is not None
    waiting._process.kill()
    waiting._process.wait()
    assert taken(waiting, tmp_path) is None


def test_it_ends_with_the_engine(waiting: SpareWorker) -> None:
    waiting.keep(HERE)
    process = waiting._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # as the kernel does when the engine ends, however it ends
    assert process.wait(30) == 0


def test_a_machine_short_of_memory_holds_nothing_in_advance(
    waiting: SpareWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = spare_worker.LEAST_AVAILABLE_BYTES - 1

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    waiting.keep(HERE)
    assert waiting._process is None


def test_an_environment_too_long_for_a_pipe_gets_a_worker_of_its_own(
    waiting: SpareWorker, tmp_path: Path
) -> None:
    long = {"SLURM": "x" * spare_worker.PIPE_BYTES}
    waiting.keep({**HERE, **long})
    assert taken(waiting, tmp_path, **long) is None
