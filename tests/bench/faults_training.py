"""Training that fails: no memory, no number, no room, no card; in real packs on a tiny base."""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import torch

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.train import checkpoint_files, quiet_libraries
from core.train.adapters import optimizers
from core.watch.machine_reader import MachineReader
from core.watch.nvml_reader import GpuReader
from tests.bench.faults_case import Outcome, fault, scripted, stopped, worst_loss
from tests.daemon.conftest import Engine
from tests.e2e.conftest import TRIMTAB, House
from tests.tiny import tiny_base, tiny_rows
from tests.train.conftest import Bench
from tests.watch.fake_nvml import FakeNvml

quiet_libraries.set_environment()
quiet_libraries.silence_transformers()
TRIALS, STEPS = 3, 8
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@contextlib.contextmanager
def _pack(**sections: dict[str, Any]) -> Iterator[tuple[Bench, Path]]:
    """A pack of three trials on a tiny base, and the folder of its trials."""
    with tempfile.TemporaryDirectory(prefix="tt-") as name:
        folder = tiny_base(Path(name) / "base")
        tiny_rows(folder / "rows.jsonl")
        os.environ["TRIMTAB_CACHE"] = name
        raw: dict[str, dict[str, Any]] = {
            "study": {"name": "s"}, "model": {"base": str(folder)},
            "data": {"source": str(folder / "rows.jsonl")},
            "train": {"steps": STEPS, "sequence_length": 32, "lora_rank": 4, "gradient_accumulation": 2},
            "evaluate": {"every": 4, "rows": 8}, "resources": {"report_every_s": 1e-9},
        }  # fmt: skip
        for key, section in sections.items():
            raw[key] |= section
        (Path(name) / "trials").mkdir()
        yield Bench(spec_file.parse(raw)), Path(name) / "trials"


def _scarce(owner: object, name: str, times: int) -> Any:
    """``owner.name`` raises out of memory at its first calls, from the third on."""
    real: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(10**9))

    def scarce(*arguments: Any, **more: Any) -> Any:
        if 2 <= next(calls) < 2 + times:
            raise FULL
        return real(*arguments, **more)

    return mock.patch.object(owner, name, scarce)


def _out_of_memory(where: Callable[[Bench], Any], may_lose: int) -> Outcome:
    """All trials but ``may_lose`` complete, and no other way of ending is seen than infeasible."""
    outcome = Outcome(tried=1, interval=0)
    with _pack() as (bench, folder):
        for number in range(TRIALS):
            bench.assign(folder, number)
        since = time.monotonic()
        with where(bench):
            bench.finish()
        done = sum(len(bench.of(e.TrialCompleted, number)) for number in range(TRIALS))
        infeasible = sum(len(bench.of(e.TrialInfeasible, number)) for number in range(TRIALS))
        if done >= TRIALS - may_lose and done + infeasible == TRIALS:
            outcome.recovered(since)
    return outcome


@fault("out of memory in forward")
def forward(count: int) -> Outcome:
    """The pass is halved."""
    return _out_of_memory(lambda bench: _scarce(bench.pack.parts.rounds._forward, "_run_pass", 1), 0)


@fault("out of memory in backward")
def backward(count: int) -> Outcome:
    """The same, with gradients half made."""
    return _out_of_memory(lambda bench: _scarce(torch.Tensor, "backward", 1), 0)


@fault("out of memory in the optimizer")
def stepping(count: int) -> Outcome:
    """One trial has no room for its states; its neighbours have theirs."""
    return _out_of_memory(lambda bench: _scarce(optimizers, "step", 1), 1)


@fault("out of memory in an evaluation")
def judging(count: int) -> Outcome:
    """The pass is halved."""
    return _out_of_memory(lambda bench: _scarce(bench.pack.parts.rounds._forward, "judge", 1), 0)


@fault("NaN loss")
def nan(count: int) -> Outcome:
    """It fails alone, and says what may help."""
    outcome = Outcome(tried=1, interval=0)
    with _pack() as (bench, folder):
        for number in range(TRIALS):
            bench.assign(folder, number)
        bench.pack.parts.members[1].trial.factors.matrix.data.fill_(float("nan"))
        since = time.monotonic()
        bench.finish()
        told = bench.of(e.TrialFailed, 1)
        if told and "is nan" in told[0].error and bench.of(e.TrialCompleted, 2):
            outcome.recovered(since)
    return outcome


@fault("disk full while checkpointing")
def no_room(count: int) -> Outcome:
    """A word in the list of events; training goes on, and the next checkpoint finds room."""
    outcome = Outcome(tried=1, interval=2)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with _pack(resources={"checkpoint_every": 2}) as (bench, folder):
        bench.assign(folder)
        while not bench.of(e.TrialCheckpointed):
            bench.pack.turn()
        bench.pack.settle()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        while not bench.of(e.StudyNoted):
            bench.pack.turn()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        since, kept = time.monotonic(), len(bench.of(e.TrialCheckpointed))
        bench.finish()
        if bench.of(e.TrialCompleted) and len(bench.of(e.TrialCheckpointed)) > kept:
            outcome.recovered(since)
    signal.signal(signal.SIGXFSZ, handler)
    return outcome


@fault("checkpoint damaged", 5)
def damaged(count: int) -> Outcome:
    """The one before is taken, with a word in the list of events."""
    outcome = Outcome(interval=2)
    with _pack(resources={"checkpoint_every": 2}) as (bench, folder):
        for number in range(count):
            outcome.tried += 1
            bench.assign(folder, number)
            bench.finish()
            newest = checkpoint_files.list_checkpoints(folder / str(number))[0]
            file = sorted(newest.iterdir())[number % 4]
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 1
            file.write_bytes(bytes(raw))
            since = time.monotonic()
            bench.assign(folder, number, checkpoint=str(newest))
            taken = bench.of(e.TrialRunning, number)[-1].step
            outcome.lost_steps = max(outcome.lost_steps, STEPS - taken)
            bench.finish()
            if bench.of(e.StudyNoted) and len(bench.of(e.TrialCompleted, number)) == 2:
                outcome.recovered(since)
    return outcome


@fault("a GPU falls off the bus, NVML fails")
def no_card(count: int) -> Outcome:
    """Readings become None with the reason; the other cards are read on."""
    outcome, nvml = Outcome(tried=1, interval=0), FakeNvml(4)
    reader, since = MachineReader(Path.cwd(), GpuReader(nvml)), time.monotonic()
    whole = reader.read([], 1.0)
    nvml.lost.add(2)
    one_less = reader.read([], 2.0)
    nvml.missing = 999
    nvml.lost.update(range(4))
    reader.read([], 3.0)
    nvml.missing, nvml.lost = None, set()
    again = reader.read([], 4.0)
    faults = [bool(device.fault) for device in one_less.devices]
    if faults == [False, False, True, False] and len(whole.devices) == len(again.devices) == 4:
        outcome.recovered(since)
    return outcome


@fault("the terminal vanishes", 3)
def vanished(count: int) -> Outcome:
    """The console ends, the study goes on."""
    outcome = Outcome(interval=0)
    with scripted(outcome, 2, 1_000_000) as engine:
        for _ in range(count):
            outcome.tried += 1
            screen, terminal = pty.openpty()
            environment = {**os.environ, "TRIMTAB_HOME": str(engine.home), "TERM": "xterm-256color"}
            console = subprocess.Popen(
                [TRIMTAB], stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
                start_new_session=True,
            )  # fmt: skip
            os.close(terminal)
            _read_until(screen, b"running")
            step, since = engine.trial(0).step, time.monotonic()
            os.close(screen)
            console.wait(30.0)
            engine.until_study(lambda one, was=step: one.trials[0].step > was, "the study goes on")
            outcome.recovered(since)
        stopped(engine)
    return outcome


def _read_until(screen: int, word: bytes) -> None:
    seen = b""
    while word not in seen:
        seen += os.read(screen, 65536)


@fault("real worker killed -9", 2)
def real_worker(count: int) -> Outcome:
    """On a tiny base: ``recover_s`` has the time to load torch and the model in it."""
    outcome = Outcome(interval=5)
    with tempfile.TemporaryDirectory(prefix="tt-") as name:
        base = tiny_base(Path(name) / "base")
        tiny_rows(base / "rows.jsonl")
        for number in range(count):
            outcome.tried += 1
            house = House(Path(name) / f"home{number}", base)
            try:
                _killed(house, outcome)
            finally:
                house.end()
    return outcome


def _killed(house: House, outcome: Outcome) -> None:
    house.trimtab("run", str(house.write(trials=2, steps=150)), "--detach")
    house.until(lambda one: 0 in one.trials and one.trials[0].checkpoint_step >= 10, "it is kept")
    workers = [
        one
        for one in psutil.process_iter(["cmdline"])
        if "core.train.commands.worker" in (one.info["cmdline"] or [])
        and str(house.home) in " ".join(one.info["cmdline"])
    ]
    since = time.monotonic()
    for worker in workers:
        worker.kill()
    house.until(lambda one: one.trials[0].retry == 1 and one.trials[0].state == "running", "it runs again")
    outcome.recovered(since)
    study = house.until(lambda one: one.state == "complete", "the study ends")
    engine = Engine(house.home)
    target = engine.home / "studies" / "s"
    target.symlink_to(house.home / "studies" / "tiny")
    outcome.lost_steps = max(outcome.lost_steps, worst_loss(engine))
    target.unlink()
    if any(not trial.values for trial in study.trials.values()):
        outcome.faults.append("a trial has no result")
