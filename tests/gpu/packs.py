"""Packs of given trials on a base in memory, and the rival: PEFT's model in a loop like the Trainer's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.wire import worker_api
from core.train.base import base_model, fused_layers
from core.train.base.base_model import Base
from core.train.data.dataset import Data, Row
from core.train.pack.trial_pack import Pack
from tests.bench.memory import release as take_gates_off
from tests.bench.sweep_shapes import half, synchronise
from tests.bench.trainer import padded
from tests.gpu import bases

RATE = 1e-4
EVERY_STEP = 1e-9  # seconds between two reports of a trial's loss
MIXED = [(rank, batch, drop) for drop in (0.0, 0.05) for rank, batch in ((8, 1), (16, 2), (32, 3), (64, 4))]
KINDS = ("uniform", "dropout", "mixed")
VALIDATION = 2  # rows; no case evaluates


@dataclass(frozen=True)
class TrialShape:
    """What a trial's speed and memory depend on. ``batch``: rows of a micro-batch."""

    rank: int = 16
    batch: int = 1
    dropout: float = 0.0


def shapes_of(kind: str, count: int) -> list[TrialShape]:
    """The trials of a uniform, dropout or mixed pack; batches and ranks mix these alone."""
    drawn = {
        "uniform": [TrialShape()],
        "dropout": [TrialShape(dropout=0.05)],
        "batches": [TrialShape(batch=batch) for batch in (1, 2, 3, 4)],
        "ranks": [TrialShape(rank) for rank in (8, 16, 32, 64)],
        "mixed": [TrialShape(*one) for one in MIXED],
    }[kind]
    return [drawn[number % len(drawn)] for number in range(count)]


def random_rows(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> list[Row]:
    """Rows of random tokens; every token but the first is a target."""
    draw = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(3, vocabulary, (length,), generator=draw).tolist() for length in lengths]
    return [Row(ids, ids) for ids in drawn]


def spec(base: Base, folder: Path, length: int, train: dict[str, Any], report_s: float) -> StudySpec:
    """A study about a base in memory, whose configuration is written into ``folder``, with these knobs."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        base.model.config.save_pretrained(folder)
    base.name = str(folder)  # PEFT looks there for the vocabulary's size
    return spec_file.parse(
        {
            "study": {"name": "ticket"},
            "model": {"base": str(folder), "precision": base.precision},
            "data": {"source": str(folder / "rows.jsonl")},
            "train": {
                "steps": 10**5, "sequence_length": max(8, length), "scheduler": "constant", "warmup": 0.0,
                "learning_rate": RATE, "target_modules": "all-linear", "weight_decay": 0.0, **train,
            },
            "evaluate": {"every": 10**6, "rows": VALIDATION},
            "resources": {"report_every_s": report_s, "checkpoint_every": 0, "checkpoint_every_s": 0},
        }
    )  # fmt: skip


class PackRun:
    """A pack with one trial for each shape; ``told`` are its events. With ``report_s`` it reports as often as
    a study does by default; near 0, every step."""

    def __init__(
        self,
        base: Base,
        trials: Sequence[TrialShape],
        rows: list[Row],
        folder: Path,
        report_s: float = 0.2,
        **train: Any,
    ) -> None:
        self.base, self.trials, self.rows, self.folder = base, trials, rows, folder
        self.told: list[e.Event] = []
        self.length = max(len(row.ids) for row in rows)
        self.spec = spec(base, folder, self.length, train, report_s)
        if base.device.type == "cuda":  # as where trimtab loads a base
            base.notes.extend(fused_layers.fuse(base.model))
        self.pack = Pack(self.spec, base, Data(rows, rows[:VALIDATION]), self.told.append)

    def assign_all(self) -> PackRun:
        """Have every trial join."""
        for number in range(len(self.trials)):
            self.assign(number)
        return self

    def assign(self, number: int, checkpoint: str = "") -> None:
        """Have a trial join."""
        shape, place = self.trials[number], self.folder / "trials" / str(number)
        place.mkdir(parents=True, exist_ok=True)
        knobs = {
            **self.spec.train, "lora_rank": shape.rank, "batch_size": shape.batch,
            "lora_dropout": shape.dropout, "seed": number,
        }  # fmt: skip
        self.pack.do(worker_api.Assign(number, knobs, str(place), checkpoint))

    def turn(self, count: int = 1) -> None:
        """So many rounds."""
        for _ in range(count):
            self.pack.turn()

    def finish(self) -> None:
        """Until every trial has ended."""
        while self.pack.busy:
            self.pack.turn()
        self.pack.settle()

    def losses(self, trial: int) -> list[float]:
        """The training loss of each step."""
        return [
            event.metrics["train/loss"]
            for event in self.told
            if isinstance(event, e.TrialReported) and event.trial == trial
        ]

    def faults(self) -> list[str]:
        """What went wrong with a trial."""
        wrong = (e.TrialFailed, e.TrialInfeasible, e.TrialRequeued, e.MemoryShort)
        return [str(event)[:300] for event in self.told if isinstance(event, wrong)]

    def close(self) -> None:
        """Leave the base as it was."""
        self.pack.settle()
        take_gates_off(self.base)
        fused_layers.restore(self.base.model)


def timed(turn: Callable[[], object], where: torch.device, warm: int, count: int) -> float:
    """Mean seconds of a turn, after ``warm`` turns; the device is waited for at both ends only."""
    for _ in range(warm):
        turn()
    synchronise(where)
    began = time.perf_counter()
    for _ in range(count):
        turn()
    synchronise(where)
    return (time.perf_counter() - began) / count


class Rival:
    """One trial by PEFT's model as transformers' Trainer trains it: batches from lists, bf16 autocast over
    float32 adapters on a card, gradient clipping, fused AdamW, a look whether the loss is a number."""

    def __init__(
        self, base: Base, shape: TrialShape, rows: list[Row], autocast: bool = True, capacity: int = 2**30
    ) -> None:
        """``capacity``: tokens of a micro-batch, padding included; a larger batch is accumulated."""
        from peft import LoraConfig, get_peft_model

        self._base, self._rows, self._batch, self._at = base, rows, shape.batch, 0
        self._capacity = capacity
        self._autocast = autocast and half(base.precision, base.device)
        config = LoraConfig(
            r=shape.rank, lora_alpha=2 * shape.rank, lora_dropout=shape.dropout,
            target_modules="all-linear", task_type="CAUSAL_LM",
        )  # fmt: skip
        self._model = get_peft_model(base.model, config, autocast_adapter_dtype=autocast)
        self._model.train()
        self._weights = [one for one in self._model.parameters() if one.requires_grad]
        fused = base.device.type == "cuda"
        self._optimizer = torch.optim.AdamW(self._weights, lr=RATE, weight_decay=0.0, fused=fused)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: 1.0)
        self._sum = torch.zeros((), device=base.device)
        self.tokens = 0

    def step(self) -> None:
        """One step on the next rows."""
        rows = [self._rows[(self._at + place) % len(self._rows)] for place in range(self._batch)]
        self._at += self._batch
        self.tokens += sum(len(row.ids) for row in rows)
        for micro in self._micro_batches(rows):
            loss = self._loss(micro) * (len(micro) / len(rows))
            loss.backward()
            if not bool(torch.isnan(loss) | torch.isinf(loss)):
                self._sum += loss.detach()
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()

    def _micro_batches(self, rows: list[Row]) -> list[list[Row]]:
        longest = max(len(row.ids) for row in rows)
        size = max(1, self._capacity // longest)
        return [rows[at : at + size] for at in range(0, len(rows), size)]

    def _loss(self, rows: list[Row]) -> torch.Tensor:
        batch = {key: value.to(self._base.device) for key, value in padded(rows, self._base.pad_id).items()}
        with torch.autocast("cuda", torch.bfloat16) if self._autocast else nullcontext():
            loss: torch.Tensor = self._model(**batch).loss
        return loss

    def close(self) -> None:
        """Take PEFT's layers off the base."""
        self._model.unload()
        self._base.model.requires_grad_(False)
        base_model.load_rest(self._base.model)
        self._model = self._optimizer = self._weights = None
        bases.release(self._base.device)


def rival_rate(
    base: Base, shape: TrialShape, rows: list[Row], warm: int, count: int, **more: Any
) -> dict[str, Any]:
    """Seconds of a step and tokens per second of one such trial; ``more`` as of ``Rival``."""
    rival = Rival(base, shape, rows, **more)
    try:
        timed(rival.step, base.device, warm, 1)
        rival.tokens = 0
        step_s = timed(rival.step, base.device, 0, count)
        return {"step_s": step_s, "tokens_per_s": rival.tokens / count / step_s}
    finally:
        rival.close()
