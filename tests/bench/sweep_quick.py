"""No sweep, only speed: equal trials packed, and the same ones one after another by the Trainer."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from core.contract import events as e
from core.contract.work import Assign
from core.train.data import Data
from core.train.model import Base
from core.train.pack import Pack
from tests.bench import sweep_shapes as shapes
from tests.bench.sweep_ledger import Ledger, now
from tests.bench.sweep_plan import Plan, batches, data, knobs, spec
from tests.bench.sweep_trainer import Watch, train

TIMES = 3  # after a first one to warm up


def packed(plan: Plan, base: Base, rows: Data) -> float:
    """Seconds from the first turn until every trial has reported its last step; evaluation comes after it."""
    reported: dict[int, float] = {}
    faults: list[e.Event] = []

    def tell(event: e.Event) -> None:
        if isinstance(event, e.TrialReported) and event.step == plan.steps:
            reported[event.trial] = now()
        if isinstance(event, e.TrialFailed | e.TrialInfeasible):
            faults.append(event)

    whole = spec(plan)
    pack = Pack(whole, base, rows, tell)
    with tempfile.TemporaryDirectory() as folder:
        for trial in plan.trials:
            place = Path(folder) / str(trial["number"])
            place.mkdir()
            pack.do(Assign(trial["number"], knobs(whole, trial), str(place)))
        shapes.synchronise(base.device)
        began = now()
        while len(pack) and len(reported) < len(plan.trials):
            pack.turn()
        shapes.synchronise(base.device)
        ended = now() if base.device.type == "cuda" else max(reported.values(), default=now())
        while len(pack):
            pack.turn()
        if hasattr(pack, "settle"):
            pack.settle()
    if faults:
        raise RuntimeError(f"not all of the pack's trials ended well: {faults[0]}")
    return ended - began


def one_by_one(plan: Plan, base: Base, rows: Data) -> float:
    """Seconds in the Trainer's loop, from a trial's first step to the end of its last; joins not counted."""
    total = 0.0
    for trial in plan.trials:
        watch = Watch(trial["number"], base.device, Ledger(), lambda *_: False)
        own = [row for batch in batches(plan, rows.train, trial) for row in batch]
        train(plan, base, trial, own, [], watch)
        total += watch.trained_s
    return total


def compared(plan: Plan) -> dict[str, Any]:
    """Both turn and turn about on a base each; the median of the ratios."""
    where, rows = torch.device(plan.device), data(plan)
    mine, other = (shapes.load_base(plan.base, plan.precision, where) for _ in range(2))
    pairs = [(packed(plan, mine, rows), one_by_one(plan, other, rows)) for _ in range(TIMES + 1)][1:]
    tokens = sum(trial["batch_size"] for trial in plan.trials) * plan.length * plan.steps
    return {
        "ratio": statistics.median(theirs / ours for ours, theirs in pairs),
        "ratios": [theirs / ours for ours, theirs in pairs],
        "trimtab_tokens_per_s": statistics.median(tokens / ours for ours, _ in pairs),
        "trainer_tokens_per_s": statistics.median(tokens / theirs for _, theirs in pairs),
    }
