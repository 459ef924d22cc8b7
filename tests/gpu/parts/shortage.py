"""Part f: a pause gives memory back, a round that runs out of memory recovers, and so does one whose memory
another process takes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train.base.base_model import Base
from core.train.step.forward_pass import Forward
from tests.bench.sweep_shapes import synchronise
from tests.gpu import bases, card
from tests.gpu.packs import EVERY_STEP, PackRun, TrialShape, random_rows
from tests.gpu.part_record import PartRecord, Row

LENGTH, BATCH = {True: 16, False: 1024}, {True: 2, False: 4}
TRIALS, ROUNDS = 4, 3
LEFT_BYTES = 6 * 2**30  # left free when memory is made short: enough for one row, not for a round
LARGE_TRIAL = TrialShape(64, 4, 0.05)
MIB = 2**20
THIEF = """
import sys, time, torch
where, left = sys.argv[1], int(sys.argv[2])
held = []
while True:
    free = torch.cuda.mem_get_info()[0] if where == "cuda" else 0 if held else 2 * left
    if free - left > 2**23:
        try:
            held.append(torch.empty(free - left, dtype=torch.uint8, device=where))
            print("held", flush=True)
        except torch.OutOfMemoryError:
            pass
    time.sleep(0.05)
"""


def run(record: PartRecord) -> None:
    """Three cases on one base; the losses of an undisturbed run are the measure of the last two."""
    base = bases.random_base("dry" if card.is_dry() else "0.5b", "bf16", card.device())
    record.case("pause", lambda: pause(base))
    undisturbed: list[list[float]] = []

    def expected() -> list[list[float]]:
        if not undisturbed:
            undisturbed.extend(trained(base, contextlib.nullcontext())[0])
        return undisturbed

    record.case("out of memory", lambda: disturbed(base, expected(), short_of_memory(base)))
    record.case("another process", lambda: disturbed(base, expected(), memory_taken(base)))
    record.close(3)


def opened(base: Base, folder: str) -> PackRun:
    """A pack whose rounds need some gigabytes."""
    dry = card.is_dry()
    trial = TrialShape(LARGE_TRIAL.rank, BATCH[dry], LARGE_TRIAL.dropout)
    rows = random_rows([LENGTH[dry]] * 16, base.vocabulary)
    return PackRun(base, [trial] * TRIALS, rows, Path(folder), EVERY_STEP).assign_all()


def pause(base: Base) -> Row:
    """Bytes in use with four trials, with all paused, and with all back; training goes on as before."""
    with tempfile.TemporaryDirectory() as folder:
        run = opened(base, folder)
        try:
            run.turn(ROUNDS)
            running = held(base)
            for number in range(TRIALS):
                run.pack.do(worker_api.Pause(number))
            run.pack.settle()
            paused = held(base)
            for number in range(TRIALS):
                run.pack.do(worker_api.Resume(number))
            run.turn(ROUNDS)
            steps = [len(run.losses(number)) for number in range(TRIALS)]
            return {"running": running, "paused": paused, "back": held(base), "steps": steps,
                    "freed_by_nvml": difference(running, paused, "nvml_bytes"),
                    "freed_by_allocator": difference(running, paused, "allocated_bytes"),
                    "faults": run.faults()}  # fmt: skip
        finally:
            run.close()


def held(base: Base) -> dict[str, int | None]:
    """Bytes in use now."""
    synchronise(base.device)
    if base.device.type != "cuda":
        return {"allocated_bytes": None, "reserved_bytes": None, "nvml_bytes": None}
    return {
        "allocated_bytes": torch.cuda.memory_allocated(base.device),
        "reserved_bytes": torch.cuda.memory_reserved(base.device),
        "nvml_bytes": card.nvml_used_bytes(),
    }


def difference(before: dict[str, int | None], after: dict[str, int | None], name: str) -> int | None:
    """What was given back; None without a reading."""
    first, second = before[name], after[name]
    return None if first is None or second is None else first - second


def trained(base: Base, trouble: Any) -> tuple[list[list[float]], PackRun, float]:
    """The losses of ``2 * ROUNDS`` rounds, the later half in ``trouble``, which may end before them."""
    with tempfile.TemporaryDirectory() as folder:
        run = opened(base, folder)
        try:
            run.turn(ROUNDS)
            bases.release(base.device)
            with trouble:
                began = time.perf_counter()
                run.turn(ROUNDS)
                synchronise(base.device)
                took_s = time.perf_counter() - began
            bases.release(base.device)
            return [run.losses(number) for number in range(TRIALS)], run, took_s
        finally:
            run.close()


def disturbed(base: Base, expected: list[list[float]], trouble: Any) -> Row:
    """What was said of it, who left, and whether the losses of those that stayed are the undisturbed ones."""
    losses, run, took_s = trained(base, trouble)
    short = [event for event in run.told if isinstance(event, e.MemoryShort)]
    left = [event.trial for event in run.told if isinstance(event, e.TrialRequeued)]
    failed = [event.trial for event in run.told if isinstance(event, e.TrialFailed | e.TrialInfeasible)]
    pairs = [
        abs(mine - theirs) / theirs
        for number in range(TRIALS)
        for mine, theirs in zip(losses[number], expected[number], strict=False)
    ]
    return {
        "told": [event.text for event in short], "requeued": left, "failed": failed, "took_s": took_s,
        "steps": [len(one) for one in losses], "largest_difference": max(pairs, default=None),
        "recovered": not failed if short else None,  # None: memory was not short
    }  # fmt: skip


@contextlib.contextmanager
def short_of_memory(base: Base) -> Iterator[None]:
    """Hold all of the card's memory but a little. On a CPU large passes raise what torch would raise."""
    if base.device.type == "cuda":
        free = torch.cuda.mem_get_info(base.device)[0]
        ballast = torch.empty(max(0, free - LEFT_BYTES), dtype=torch.uint8, device=base.device)
        yield
        del ballast
        return
    real = Forward.train

    def train(self: Forward, items: Any) -> Any:
        if len(items) > TRIALS:
            raise torch.OutOfMemoryError("made for a dry run")
        return real(self, items)

    Forward.train = train  # type: ignore[method-assign]
    try:
        yield
    finally:
        Forward.train = real  # type: ignore[method-assign]


@contextlib.contextmanager
def memory_taken(base: Base) -> Iterator[None]:
    """Another process holds what is free, and takes what becomes free."""
    where = base.device.type
    left = LEFT_BYTES if where == "cuda" else 16 * MIB
    thief = subprocess.Popen([sys.executable, "-c", THIEF, where, str(left)], stdout=subprocess.PIPE)
    try:
        assert thief.stdout is not None
        if not thief.stdout.readline():
            raise RuntimeError(f"the other process ended with {thief.wait()}")
        yield
    finally:
        thief.kill()
        thief.wait()
