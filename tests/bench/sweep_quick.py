"""No sweep, only speed: equal trials packed, and the same ones one after another by the Trainer."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from core.contract.events import event_types as e
from core.contract.wire.worker_api import Assign
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.pack.trial_pack import Pack
from tests.bench import sweep_shapes as shapes
from tests.bench.sweep_ledger import Ledger, now
from tests.bench.sweep_plan import Plan, batches, data, knobs, spec
from tests.bench.sweep_trainer import Watch, train

TIMES = 3  # after a first one to warm up


class Spent(NamedTuple):
    """Seconds by the clock, and of processor time: the latter tells more where others use the cores too."""

    wall_s: float
    cpu_s: float


def packed(plan: Plan, base: Base, rows: Data) -> Spent:
    """From the first turn until every trial has reported its last step; evaluation comes after it."""
    reported: dict[int, Spent] = {}
    faults: list[e.Event] = []

    def tell(event: e.Event) -> None:
        if isinstance(event, e.TrialReported) and event.step == plan.steps:
            reported[event.trial] = Spent(now(), time.process_time())
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
        began = Spent(now(), time.process_time())
        while len(pack) and len(reported) < len(plan.trials):
            pack.turn()
        shapes.synchronise(base.device)
        ended = Spent(now(), time.process_time())
        if base.device.type != "cuda":
            ended = max(reported.values(), default=ended)
        while len(pack):
            pack.turn()
        if hasattr(pack, "settle"):
            pack.settle()
    if faults:
        raise RuntimeError(f"not all of the pack's trials ended well: {faults[0]}")
    return Spent(ended.wall_s - began.wall_s, ended.cpu_s - began.cpu_s)


def one_by_one(plan: Plan, base: Base, rows: Data) -> Spent:
    """In the Trainer's loop, from a trial's first step to the end of its last; joins not counted."""
    wall_s = cpu_s = 0.0
    for trial in plan.trials:
        watch = Watch(trial["number"], base.device, Ledger(), lambda *_: False)
        own = [row for batch in batches(plan, rows.train, trial) for row in batch]
        train(plan, base, trial, own, [], watch)
        wall_s, cpu_s = wall_s + watch.trained_s, cpu_s + watch.cpu_s
    return Spent(wall_s, cpu_s)


def compared(plan: Plan) -> dict[str, Any]:
    """Both turn and turn about on a base each; the median of the ratios."""
    where, rows = torch.device(plan.device), data(plan)
    mine, other = (shapes.load_base(plan.base, plan.precision, where) for _ in range(2))
    pairs = [(packed(plan, mine, rows), one_by_one(plan, other, rows)) for _ in range(TIMES + 1)][1:]
    tokens = sum(trial["batch_size"] for trial in plan.trials) * plan.length * plan.steps
    return {
        "ratio": statistics.median(theirs.wall_s / ours.wall_s for ours, theirs in pairs),
        "cpu_ratio": statistics.median(theirs.cpu_s / ours.cpu_s for ours, theirs in pairs),
        "ratios": [theirs.wall_s / ours.wall_s for ours, theirs in pairs],
        "trimtab_tokens_per_s": statistics.median(tokens / ours.wall_s for ours, _ in pairs),
        "trainer_tokens_per_s": statistics.median(tokens / theirs.wall_s for _, theirs in pairs),
    }
