"""Part d: the memory estimate against the allocator's peak, and the constants that an estimate takes for a
device."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import torch

from core.train.base.base_model import Base
from tests.bench import memory as bench
from tests.bench.memory import Case
from tests.gpu import bases, card
from tests.gpu.part_record import PartRecord, Row

LOADS = [("0.5b", "bf16"), ("0.5b", "nf4"), ("1.5b", "bf16"), ("1.5b", "nf4")]
DRY_LOADS = [("dry", "bf16"), ("dry", "nf4")]
POINTS = [(1, 512, 8, 4), (4, 512, 64, 4), (2, 2048, 16, 1)]  # batch, length, rank, trials
DRY_POINTS = [(1, 32, 8, 2)]


def run(record: PartRecord) -> None:
    """24 cases: two shapes, two precisions, activations kept or computed again, three packs."""
    dry, where = card.is_dry(), card.device()
    loads, points = (DRY_LOADS, DRY_POINTS) if dry else (LOADS, POINTS)
    record.case("constants", lambda: constants(where))
    for (shape, precision), checkpointing in itertools.product(loads, (False, True)):
        cases = [Case(shape, precision, checkpointing, *point) for point in points]
        measure(record, [case for case in cases if name(case) not in record.content["rows"]], where)
    record.close(1 + 2 * len(loads) * len(points))


def name(case: Case) -> str:
    """Such as ``0.5b nf4 plain 4x1x512 r8``."""
    kind = "checkpointed" if case.checkpointing else "plain"
    return f"{case.shape} {case.precision} {kind} {case.pack}x{case.batch}x{case.length} r{case.rank}"


def measure(record: PartRecord, cases: list[Case], where: torch.device) -> None:
    """Cases that share a base, which is built once."""
    if not cases:
        return
    with tempfile.TemporaryDirectory() as place:
        folder = bases.write_config(cases[0].shape, Path(place))
        held: list[Base] = []

        def base_of(case: Case) -> Base:
            if not held:
                held.append(bases.random_base(case.shape, case.precision, where, case.checkpointing))
            return held[0]

        for case in cases:
            record.case(name(case), lambda case=case: compared(case, base_of(case), folder))
        held.clear()
    bases.release(where)


def compared(case: Case, base: Base, folder: Path) -> Row:
    """Bytes estimated and measured. A CPU's are its profiler's: they prove the path, not the estimate."""
    estimated = bench.foretold(case, folder, bench.device())
    measured = bench.measured(case, base, folder)
    bases.release(base.device)
    row = {
        "estimated_bytes": estimated,
        "measured_bytes": measured,
        "relative_error": estimated / measured - 1,
    }
    if base.device.type == "cuda":
        reserved, used = torch.cuda.max_memory_reserved(base.device), card.nvml_used_bytes()
        row |= {"reserved_bytes": reserved, "slack": reserved / measured - 1, "nvml_used_bytes": used}
    return row


def constants(where: torch.device) -> Row:
    """The memory that a process uses besides its tensors: the CUDA context and cuBLAS's workspace."""
    if where.type != "cuda":
        return {"context_bytes": None, "workspace_bytes": None, "why": "no CUDA context on a CPU"}
    before = card.nvml_used_bytes()
    torch.zeros(1, device=where)
    bases.release(where)
    started = card.nvml_used_bytes()
    left = torch.randn(512, 512, device=where, dtype=torch.bfloat16)
    held = torch.cuda.memory_allocated(where)
    product = left @ left
    workspace = torch.cuda.memory_allocated(where) - held - product.numel() * product.element_size()
    torch.cuda.synchronize(where)
    ended, reserved = card.nvml_used_bytes(), torch.cuda.memory_reserved(where)
    known = None not in (before, started, ended)
    return {
        "context_bytes": started - before if known else None,  # little if a context was there before
        "context_with_cublas_bytes": ended - before - reserved if known else None,
        "workspace_bytes": workspace,
    }
