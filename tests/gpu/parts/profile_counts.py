"""Part b: kernels and host waits of a round by torch's profiler, against the counts made without a card."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from core.train.base.base_model import Base
from tests.bench.sweep_shapes import synchronise
from tests.gpu import bases, card
from tests.gpu.packs import PackRun, Rival, TrialShape, random_rows, shapes_of
from tests.gpu.part_record import PartRecord, Row

COUNTS = Path(__file__).resolve().parents[2] / "cuda" / "counts.json"  # {"cases": {"uniform 8": {"kernels", …
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cuStreamSynchronize")  # not the bench's own
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel")
KINDS = {"uniform": (1, 8, 16), "dropout": (8,), "batches": (8,), "ranks": (8,), "mixed": (8,)}
CASES = [f"{kind}:0.5B:{count}" for kind, counts in KINDS.items() for count in counts]
RIVALS = ["peft:0.5B:1"]
LENGTH, WARM, ROUNDS = {True: 16, False: 512}, 3, 2
SHOWN = 25  # kinds of kernels kept of each case


def run(record: PartRecord) -> None:
    """Every case on one base."""
    shape = "dry" if card.is_dry() else "0.5b"
    base = bases.random_base(shape, "bf16", card.device())
    foretold = read_counts()
    if foretold is None:
        record.note("tests/cuda/counts.json is not here: nothing to compare with")
    for case in CASES:
        record.case(case, lambda case=case: compared(profiled_pack(base, case), known_of(case, foretold)))
    for case in RIVALS:
        record.case(case, lambda case=case: compared(profiled_rival(base), known_of(case, foretold)))
    record.close(len(CASES) + len(RIVALS))


def read_counts() -> dict[str, dict[str, Any]] | None:
    """What the tests on fake CUDA tensors count; None without that file."""
    return json.loads(COUNTS.read_text("utf-8"))["cases"] if COUNTS.is_file() else None


def known_of(case: str, foretold: dict[str, dict[str, Any]] | None) -> dict[str, Any] | None:
    """What they count of a case: of ``uniform:0.5B:8`` under ``uniform 8``; all are of the 0.5B shape."""
    kind, _, count = case.split(":")
    return (foretold or {}).get(f"{kind} {count}")


def profiled_pack(base: Base, case: str) -> Row:
    """A round of the pack that ``case`` names."""
    kind, _, count = case.split(":")
    rows = random_rows([LENGTH[card.is_dry()]] * 16, base.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        run = PackRun(base, shapes_of(kind, int(count)), rows, Path(folder)).assign_all()
        try:
            return {**profiled(run.turn, base.device), "faults": run.faults()}
        finally:
            run.close()


def profiled_rival(base: Base) -> Row:
    """A step of one trial by PEFT."""
    rival = Rival(base, TrialShape(), random_rows([LENGTH[card.is_dry()]] * 16, base.vocabulary))
    try:
        return profiled(rival.step, base.device)
    finally:
        rival.close()


def profiled(turn: Any, where: torch.device) -> Row:
    """Kernels, waits and times of one round. On a CPU the operators take the place of kernels."""
    for _ in range(WARM):
        turn()
    synchronise(where)
    on_card = where.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_card else [])]
    with profile(activities=activities) as profiler:
        for _ in range(ROUNDS):
            turn()
        synchronise(where)
    return summed(profiler.profiler.kineto_results.events(), on_card)


def summed(events: Any, on_card: bool) -> Row:
    """What a round comes to: events of all rounds, divided by their number."""
    kernels: Counter[str] = Counter()
    busy_ns: Counter[str] = Counter()
    host: Counter[str] = Counter()
    for event in events:
        name = event.name()
        if on_card and event.device_type() == torch.autograd.DeviceType.CUDA:
            if is_annotation(event):
                continue
            kernels[name] += 1
            busy_ns[name] += event.duration_ns()
        elif not on_card and name.startswith("aten::"):
            kernels[name] += 1
        elif name in WAITS or name.startswith(("cudaMemcpy", *LAUNCHES)):
            host[name] += 1
    waits = sum(host[name] for name in WAITS)
    launches = sum(count for name, count in host.items() if name.startswith(LAUNCHES))
    return {
        "launches": launches / ROUNDS,  # where the profiler may not look at the device, these are left
        "kernels": sum(kernels.values()) / ROUNDS,
        "waits": waits / ROUNDS,
        "bytes": None,  # a profiler sees no operands
        "busy_ms": sum(busy_ns.values()) / ROUNDS / 1e6,
        "host_calls": {name: count / ROUNDS for name, count in host.most_common()},
        "kernel_counts": {name[:120]: count / ROUNDS for name, count in kernels.most_common(SHOWN)},
        "kernel_ms": {name[:120]: ns / ROUNDS / 1e6 for name, ns in busy_ns.most_common(SHOWN)},
    }


def is_annotation(event: Any) -> bool:
    """Whether it is a range that the profiler shows on the device, such as an optimizer's step."""
    if hasattr(event, "activity_type"):  # torch 2.13 has it
        return event.activity_type() not in ("kernel", "gpu_memcpy", "gpu_memset")
    return event.is_user_annotation() or event.name().startswith(("Optimizer.", "ProfilerStep"))


def compared(found: Row, foretold: dict[str, Any] | None) -> Row:
    """The row with what was counted without a card next to it."""
    known = foretold or {}
    return {**found, "counted": {name: known.get(name) for name in ("kernels", "waits", "bytes")}}
