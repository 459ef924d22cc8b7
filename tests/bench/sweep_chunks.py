"""A small stand-in of RapidFire AI's way: trials take turns on chunks of their data, and for each chunk the
base comes to the device anew, with the trial's adapter and optimizer put back on it."""

from __future__ import annotations

import copy
import gc
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from core.train.adapters import lr_schedule
from core.train.base.base_model import Base
from core.train.data.dataset import Row, collate
from tests.bench import sweep_shapes as shapes
from tests.bench.sweep_ledger import Ledger, Rungs, now, outcome
from tests.bench.sweep_plan import EVALUATION_BATCH, WARMUP, Plan, Trial, batches, data, knobs, spec

CPU = torch.device("cpu")
QUANTISED = ("nf4", "int8")


@dataclass
class Kept:
    """A trial between two chunks, on the host."""

    trial: Trial
    batches: list[list[Row]]
    adapter: dict[str, torch.Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    loss: float = float("nan")


class Slicer:
    """Chunk after chunk, and in each chunk trial after trial."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        began = now()
        self.plan, self.where, self.ledger = plan, torch.device(plan.device), Ledger()
        self._folder, self._spec = folder, spec(plan)
        self._anew = plan.precision in QUANTISED  # such weights are not copied: loaded and quantised again
        self._host = None if self._anew else shapes.load_base(plan.base, plan.precision, CPU)
        self._data = data(plan)
        self.load_s = now() - began
        self._rungs = Rungs(plan.every, plan.factor)
        self._loaded_bytes = shapes.forget_peak(self.where)

    def run(self) -> None:
        """Until every trial has had its last chunk."""
        rows = self._data.train
        alive = [Kept(trial, batches(self.plan, rows, trial)) for trial in self.plan.trials]
        for chunk in range(1, self.plan.chunks + 1):
            end = self.plan.steps * chunk // self.plan.chunks
            for kept in alive:
                self._slice(kept, end)
                gc.collect()  # PEFT's models hold themselves: two bases would stand side by side
            alive = [kept for kept in alive if kept.trial["number"] not in self.ledger.trials]

    def told(self) -> dict[str, Any]:
        """The book, closed."""
        return {**self.ledger.told(), **shapes.memory(self.where, self._loaded_bytes)}

    def _fresh(self) -> Base:
        if self._host is None:
            return shapes.load_base(self.plan.base, self.plan.precision, self.where)
        model = copy.deepcopy(self._host.model).to(self.where)
        return Base(model, self._host.tokenizer, self._host.precision, self._host.name, self.where)

    def _slice(self, kept: Kept, end: int) -> None:
        """One trial's chunk: everything comes, is trained to step ``end``, and goes."""
        chosen, base = knobs(self._spec, kept.trial), self._fresh()
        start = {} if kept.step else shapes.starting(base, chosen)
        config = LoraConfig(
            r=chosen["lora_rank"], lora_alpha=chosen["lora_alpha"], lora_dropout=chosen["lora_dropout"],
            target_modules="all-linear", task_type="CAUSAL_LM",
        )  # fmt: skip
        model = get_peft_model(base.model, config)
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)
        set_peft_model_state_dict(model, kept.adapter if kept.step else start)
        if kept.step:
            optimizer.load_state_dict(kept.optimizer)
        self.ledger.works()
        stopped = self._train(kept, end, base, model, optimizer, weights)
        shapes.synchronise(self.where)
        self.ledger.rests()
        if stopped:
            self.ledger.ended(kept.trial["number"], "pruned", kept.step, kept.loss)
        elif kept.step == self.plan.steps:
            model.save_pretrained(self._folder / str(kept.trial["number"]))
            self.ledger.ended(kept.trial["number"], "completed", kept.step, kept.loss)
        else:
            kept.adapter = {name: one.to(CPU, copy=True) for name, one in _adapter(model).items()}
            kept.optimizer = _on_host(optimizer.state_dict())

    def _train(
        self, kept: Kept, end: int, base: Base, model: Any, optimizer: Any, weights: list[Any]
    ) -> bool:
        """A plain loop. True when the trial is to be stopped."""
        model.train()
        chosen = knobs(self._spec, kept.trial)
        while kept.step < end:
            loss = self._loss(base, model, kept.batches[kept.step])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, chosen["clip_norm"])
            shape = lr_schedule.compute_factor("cosine", WARMUP, kept.step, self.plan.steps)
            for group in optimizer.param_groups:
                group["lr"] = chosen["learning_rate"] * shape
            optimizer.step()
            optimizer.zero_grad()
            kept.step += 1
            if kept.step % self.plan.every == 0 and self._judged(kept, base, model):
                return True
        return False

    def _loss(self, base: Base, model: Any, rows: list[Row]) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=shapes.half(base.precision, self.where)):
            return model(**collate(rows, base.pad_id, self.where)).loss

    @torch.no_grad()
    def _judged(self, kept: Kept, base: Base, model: Any) -> bool:
        """Evaluate; is the trial to be stopped? Rows have as many targets each, so batches weigh by rows."""
        model.eval()
        held, total = self._data.validation, 0.0
        for start in range(0, len(held), EVALUATION_BATCH):
            rows = held[start : start + EVALUATION_BATCH]
            total += float(self._loss(base, model, rows)) * len(rows)
        model.train()
        kept.loss = total / len(held)
        last = kept.step >= self.plan.steps
        return (
            self.plan.stopping and not last and self._rungs.stops(kept.trial["number"], kept.step, kept.loss)
        )


def _adapter(model: Any) -> dict[str, torch.Tensor]:
    return get_peft_model_state_dict(model)


def _on_host(state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state with its tensors copied to the host."""
    moved = {
        index: {
            name: state.to(CPU, copy=True) if isinstance(state, torch.Tensor) else state
            for name, state in states.items()
        }
        for index, states in state["state"].items()
    }
    return {**state, "state": moved}


def chunked(plan: Plan) -> dict[str, Any]:
    """The whole sweep by chunks."""
    with tempfile.TemporaryDirectory() as folder:
        slicer = Slicer(plan, Path(folder))
        began = now()
        slicer.run()
        ended = now()
        return outcome(plan, "chunks", [slicer.told()], began, ended, slicer.load_s)
