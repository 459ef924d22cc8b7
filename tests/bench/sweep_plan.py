"""What every rival of the sweep runs: the same drawn trials on the same rows of the same base."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.errors import SpecError
from core.train.data.batches.batch_schedule import Order
from core.train.data.dataset import MASKED, Data, Row

RANKS = (4, 8, 16, 32, 64)
BATCHES = (1, 2, 4, 8)
RATES = (1e-5, 1e-2)
EVALUATION_BATCH = 8
ALPHABET = 16  # tokens that targets are made of: what a trial learns first
STRIDES = (1, 3, 5, 7)  # odd: each walks through the whole alphabet
WARMUP = 0.03

Trial = dict[str, Any]  # number, lora_rank, batch_size, learning_rate, seed


@dataclass(frozen=True)
class Plan:
    """One sweep. ``pack`` is None for what the product itself thinks fit; ``flop`` is a trained token's."""

    shape: str
    base: str
    precision: str
    device: str
    length: int
    targets: float
    steps: int
    every: int
    trials: list[Trial]
    stopping: bool
    factor: int
    pack: int | None
    processes: int
    chunks: int
    threads: int | None
    train_rows: int
    validation_rows: int
    flop: float = 0.0
    seed: int = field(default=0)

    def write(self, path: Path) -> Path:
        """Into a file that a rival's process reads."""
        path.write_text(json.dumps(dataclasses.asdict(self)), "utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        """From such a file."""
        return cls(**json.loads(path.read_text("utf-8")))


def draw(count: int, seed: int, rank: int | None, batch: int | None) -> list[Trial]:
    """The trials, in the order of their beginning. A fixed rank or batch leaves the rest as drawn."""
    dice = random.Random(seed)
    low, high = (math.log(rate) for rate in RATES)
    trials = []
    for number in range(count):
        drawn = dice.choice(RANKS), dice.choice(BATCHES), math.exp(dice.uniform(low, high))
        trials.append(
            {
                "number": number, "lora_rank": rank or drawn[0], "batch_size": batch or drawn[1],
                "learning_rate": drawn[2], "seed": number,
            }
        )  # fmt: skip
    return trials


def data(plan: Plan) -> Data:
    """Rows of exactly ``length`` tokens: a prompt of any tokens of the alphabet, then targets that walk
    through the alphabet with the row's stride."""
    dice = random.Random(plan.seed + 1)
    learnt = min(plan.length - 1, max(1, round(plan.length * plan.targets)))

    def row() -> Row:
        at, stride = dice.randrange(ALPHABET), dice.choice(STRIDES)
        prompt = [dice.randrange(ALPHABET, 4 * ALPHABET) for _ in range(plan.length - learnt)]
        walk = [1 + (at + stride * place) % ALPHABET for place in range(learnt)]
        return Row(prompt + walk, [MASKED] * len(prompt) + walk)

    train = [row() for _ in range(plan.train_rows)]
    return Data(train, [row() for _ in range(plan.validation_rows)])


def spec(plan: Plan) -> StudySpec:
    """The same as a study. Where a pack of "auto" is not known yet, all trials at once."""
    raw: dict[str, Any] = {
        "study": {"name": "sweep", "trials": len(plan.trials)},
        "model": {"base": plan.base, "precision": plan.precision},
        "data": {"source": str(Path(plan.base) / "rows.jsonl")},
        "train": {
            "steps": plan.steps, "sequence_length": max(8, plan.length), "scheduler": "cosine",
            "optimizer": "adamw", "target_modules": "all-linear", "warmup": WARMUP,
        },
        "evaluate": {
            "every": plan.every, "rows": plan.validation_rows, "batch_size": EVALUATION_BATCH,
        },
        "resources": {"pack": plan.pack or "auto"},
    }  # fmt: skip
    try:
        return spec_file.parse(raw)
    except SpecError:
        return spec_file.parse({**raw, "resources": {"pack": plan.pack or len(plan.trials)}})


def knobs(whole: StudySpec, trial: Trial) -> dict[str, Any]:
    """Every knob of the trial, as the engine sends it."""
    return {**whole.train, **{name: value for name, value in trial.items() if name != "number"}}


def batches(plan: Plan, rows: list[Row], trial: Trial) -> list[list[Row]]:
    """What the trial trains on, step by step."""
    order = Order(rows, trial["batch_size"], trial["seed"])
    return [order.micro_batch(step) for step in range(plan.steps)]
