"""Part c: a pack's tokens per second against PEFT, one trial after another, on the shape of Qwen2.5-0.5B."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from core.train.base.base_model import Base
from tests.bench.sweep_shapes import forget_peak, matrix_rate, peak_bytes
from tests.gpu import bases, card
from tests.gpu.packs import KINDS, PackRun, TrialShape, random_rows, rival_rate, shapes_of, timed
from tests.gpu.part_record import PartRecord, Row

LENGTH = {True: 16, False: 512}
COUNTS = {True: (1, 2), False: (8, 1, 16, 4, 2)}  # the most telling first
WARM, STEPS = 3, {True: 2, False: 8}
NEEDS_S = {True: 0.0, False: 4.0}  # of a case


def run(record: PartRecord) -> None:
    """The rivals first: every ratio needs them."""
    dry, where = card.is_dry(), card.device()
    base = bases.random_base("dry" if dry else "0.5b", "bf16", where)
    record.case("machine", lambda: measured_machine(where))
    record.case("launch", lambda: fixed_cost(base))
    shapes = sorted(
        {shape for kind in KINDS for count in COUNTS[dry] for shape in shapes_of(kind, count)}, key=str
    )
    for shape in shapes:
        record.case(rival_name(shape), lambda shape=shape: rival(base, shape))
    record.case("peft-bf16-adapters", lambda: rival(base, TrialShape(), autocast=False))
    for count in COUNTS[dry]:
        for kind in KINDS:
            name = f"{kind}:0.5B:{count}"
            work = lambda kind=kind, count=count: packed(base, kind, count, record)  # noqa: E731
            record.case(name, work, NEEDS_S[dry])
    record.close(3 + len(shapes) + len(KINDS) * len(COUNTS[dry]))


def rival_name(shape: TrialShape) -> str:
    """The row of a trial by PEFT."""
    return f"peft:r{shape.rank}:b{shape.batch}:d{shape.dropout:g}"


def measured_machine(where: torch.device) -> Row:
    """What the device can do at most, so that every figure has its share of it."""
    precision = "fp32" if card.is_dry() else "bf16"
    return {"matrix_flop_per_s": matrix_rate(precision, where), "copy_bytes_per_s": card.copy_rate()}


def fixed_cost(base: Base) -> Row:
    """Seconds of a round of one row that is too short to keep the device busy: what launching it costs. The
    estimate's constant for it is ``batch_passes.LAUNCH_S``."""
    with tempfile.TemporaryDirectory() as folder:
        run = PackRun(base, [TrialShape()], random_rows([8] * 4, base.vocabulary), Path(folder)).assign_all()
        try:
            return {"step_s": timed(run.turn, base.device, WARM, STEPS[card.is_dry()])}
        finally:
            run.close()


def rival(base: Base, shape: TrialShape, autocast: bool = True) -> Row:
    """One trial by PEFT."""
    dry = card.is_dry()
    rows = random_rows([LENGTH[dry]] * 16, base.vocabulary)
    return rival_rate(base, shape, rows, WARM, STEPS[dry], autocast=autocast)


def packed(base: Base, kind: str, count: int, record: PartRecord) -> Row:
    """The pack, and the ratio to its trials by PEFT one after another."""
    dry, trials = card.is_dry(), shapes_of(kind, count)
    tokens = LENGTH[dry] * sum(shape.batch for shape in trials)
    loaded = forget_peak(base.device)
    with tempfile.TemporaryDirectory() as folder:
        run = PackRun(
            base, trials, random_rows([LENGTH[dry]] * 16, base.vocabulary), Path(folder)
        ).assign_all()
        try:
            step_s = timed(run.turn, base.device, WARM, STEPS[dry])
        finally:
            run.close()
    row = {
        "step_s": step_s, "tokens": tokens, "tokens_per_s": tokens / step_s, "faults": run.faults(),
        "more_bytes": peak_bytes(base.device) - loaded,
    }  # fmt: skip
    del run
    bases.release(base.device)
    alone = [record.content["rows"].get(rival_name(shape), {}).get("step_s") for shape in trials]
    if None in alone:
        return {**row, "ratio": None, "why": "a rival's step was not measured"}
    return {**row, "rival_s": sum(alone), "ratio": sum(alone) / step_s}
