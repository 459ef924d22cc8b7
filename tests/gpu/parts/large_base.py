"""Part e: LoRAFusion's set-up (arXiv 2510.00206) on the shape of Llama-3.1-8B, in bf16 and NF4.

Four adapters of rank 16, batch 8 each, dropout 0.1; its figures on one H100: 12,353 tokens/s one adapter
after another, 14,875 by its kernels (XSum). Its XSum rows are not here: lengths are drawn from a log-normal
distribution with about their mean.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from core.contract.wire import worker_api
from core.train.base.base_model import Base
from core.train.data.dataset import Row as DataRow
from tests.bench.sweep_shapes import forget_peak, peak_bytes
from tests.gpu import bases, card
from tests.gpu.packs import PackRun, TrialShape, random_rows, rival_rate, timed
from tests.gpu.part_record import PartRecord, Row

RECORD = {"one adapter": 12353, "LoRAFusion": 14875}  # tokens/s on one H100
MEDIAN, SPREAD, LEAST, MOST = 440, 0.5, 64, 2048  # tokens of a row
TRIAL, TRIALS = TrialShape(16, 8, 0.1), 4
CAPACITY = {True: 6656, False: 3328}  # tokens of a pass, by whether the card has 120 GB or more
LARGE_BYTES = 120e9
PRECISIONS = ("bf16", "nf4")
WARM, STEPS = 2, {True: 2, False: 5}
NEEDS_S = {True: 0.0, False: 25.0}  # of a precision


def run(record: PartRecord) -> None:
    """Each precision on a base of its own; rival first."""
    dry, where = card.is_dry(), card.device()
    record.about(record_tokens_per_s=RECORD)
    for precision in PRECISIONS:
        held: list[Base] = []

        def base_of(precision: str = precision, held: list[Base] = held) -> Base:
            if not held:
                held.append(bases.random_base("dry" if dry else "8b", precision, where))
            return held[0]

        record.case(f"peft:8B:{precision}", lambda get=base_of: rival(get()), NEEDS_S[dry])
        record.case(f"pack:8B:{precision}", lambda get=base_of: packed(get(), record), NEEDS_S[dry])
        held.clear()
        bases.release(where)
    record.close(2 * len(PRECISIONS))


def lengths(count: int) -> list[int]:
    """Tokens of rows like XSum's."""
    draw = random.Random(0)
    scale = 16 if card.is_dry() else 1
    drawn = (draw.lognormvariate(0.0, SPREAD) * MEDIAN for _ in range(count))
    return [max(LEAST, min(MOST, round(length))) // scale for length in drawn]


def capacity() -> int:
    """Tokens of a pass, padding included."""
    return CAPACITY[card.describe().get("total_bytes", 0) >= LARGE_BYTES]


def rows(base: Base) -> list[DataRow]:
    """Rows for all steps: few, and taken again."""
    return random_rows(lengths(64), base.vocabulary)


def rival(base: Base) -> Row:
    """One adapter by PEFT."""
    return rival_rate(base, TRIAL, rows(base), WARM, STEPS[card.is_dry()], capacity=capacity())


def packed(base: Base, record: PartRecord) -> Row:
    """Four adapters at once, in passes of as many tokens as LoRAFusion's."""
    loaded = forget_peak(base.device)
    with tempfile.TemporaryDirectory() as folder:
        run = PackRun(base, [TRIAL] * TRIALS, rows(base), Path(folder)).assign_all()
        run.pack.do(worker_api.Bound(capacity()))
        try:
            done = tokens_by_step(run)
            step_s = timed(run.turn, base.device, WARM, STEPS[card.is_dry()])
        finally:
            run.close()
    tokens = sum(done[WARM : WARM + STEPS[card.is_dry()]]) / STEPS[card.is_dry()]
    alone = record.content["rows"].get(f"peft:8B:{base.precision}", {}).get("tokens_per_s")
    return {
        "step_s": step_s, "tokens_per_s": tokens / step_s, "capacity": capacity(), "faults": run.faults(),
        "ratio": tokens / step_s / alone if alone else None,
        "more_bytes": peak_bytes(base.device) - loaded,
    }  # fmt: skip


def tokens_by_step(run: PackRun) -> list[int]:
    """Tokens of each round to come, padding not counted."""
    members = run.pack.parts.members.values()
    steps = WARM + STEPS[card.is_dry()]
    return [
        sum(
            len(row.ids)
            for member in members
            for micro in member.trial.course.micro_batches(step)
            for row in micro
        )
        for step in range(steps)
    ]
