"""The sweep as people run it today: transformers' Trainer with PEFT's model, one trial after another."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import optuna
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from core.train.base.base_model import Base
from core.train.data.dataset import Row
from tests.bench import sweep_shapes as shapes
from tests.bench.sweep_ledger import Ended, Ledger, Rungs, now, outcome
from tests.bench.sweep_plan import (
    BATCHES,
    EVALUATION_BATCH,
    RANKS,
    RATES,
    WARMUP,
    Plan,
    Trial,
    batches,
    data,
    knobs,
    spec,
)
from tests.bench.trainer import padded

Decide = Callable[[int, int, float], bool]


class Watch(TrainerCallback):
    """Writes a trial's times into the book, and stops it when ``decide`` says so."""

    def __init__(self, trial: int, where: torch.device, ledger: Ledger, decide: Decide) -> None:
        self._trial, self._where, self._ledger, self._decide = trial, where, ledger, decide
        self._begun, self.state, self.loss, self.steps = False, "completed", float("nan"), 0
        self.trained_s = self.cpu_s = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if not self._begun:
            self._begun, self.trained_s, self.cpu_s = True, -now(), -time.process_time()
            self._ledger.works()

    def on_evaluate(self, _: Any, state: Any, control: Any, metrics: dict[str, float], **__: Any) -> None:
        self.loss, self.steps = metrics["eval_loss"], state.global_step
        if state.global_step < state.max_steps and self._decide(self._trial, self.steps, self.loss):
            self.state, control.should_training_stop = "pruned", True

    def on_train_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        shapes.synchronise(self._where)
        self.steps = state.global_step
        self.trained_s, self.cpu_s = self.trained_s + now(), self.cpu_s + time.process_time()
        self._ledger.rests()


def train(plan: Plan, base: Base, trial: Trial, rows: list[Row], held: list[Row], watch: Watch) -> None:
    """One trial. ``held`` may be empty: then nothing is evaluated and no adapter is kept."""
    chosen = knobs(spec(plan), trial)
    start = shapes.starting(base, chosen)
    config = LoraConfig(
        r=chosen["lora_rank"], lora_alpha=chosen["lora_alpha"], lora_dropout=chosen["lora_dropout"],
        target_modules="all-linear", task_type="CAUSAL_LM",
    )  # fmt: skip
    model = get_peft_model(base.model, config)
    set_peft_model_state_dict(model, start)
    with contextlib.ExitStack() as after, tempfile.TemporaryDirectory() as folder:
        after.callback(model.unload)
        trainer = Trainer(
            model, _arguments(plan, chosen, folder, base, bool(held)), lambda some: padded(some, base.pad_id),
            rows, held or None, callbacks=[watch],
        )  # fmt: skip
        trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(rows)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        if held and watch.state == "completed":
            model.save_pretrained(folder)


def _arguments(plan: Plan, chosen: Trial, folder: str, base: Base, judged: bool) -> TrainingArguments:
    """Its own defaults but for what the trial says; bf16 autocast on a card, as people have it."""
    on_card = base.device.type == "cuda"
    return TrainingArguments(
        folder, per_device_train_batch_size=chosen["batch_size"], max_steps=plan.steps,
        per_device_eval_batch_size=EVALUATION_BATCH, eval_strategy="steps" if judged else "no",
        eval_steps=plan.every, prediction_loss_only=True, learning_rate=chosen["learning_rate"],
        warmup_steps=-int(-WARMUP * plan.steps // 1), lr_scheduler_type="cosine", weight_decay=0.0,
        max_grad_norm=chosen["clip_norm"], logging_steps=plan.every, report_to="none",
        save_strategy="no", disable_tqdm=True, remove_unused_columns=False, use_cpu=not on_card,
        dataloader_pin_memory=on_card, bf16=shapes.half(base.precision, base.device),
    )  # fmt: skip


class Rival:
    """A base with its rows, on which trials are trained one after another."""

    def __init__(self, plan: Plan) -> None:
        began = now()
        self.plan, self.where, self.ledger = plan, torch.device(plan.device), Ledger()
        self.base = shapes.load_base(plan.base, plan.precision, self.where)
        self.data = data(plan)
        self.load_s = now() - began
        self.loaded_bytes = shapes.forget_peak(self.where)

    def train(self, trial: Trial, decide: Decide) -> Ended:
        """Train it to its end or to where ``decide`` stops it."""
        number = trial["number"]
        rows = [row for batch in batches(self.plan, self.data.train, trial) for row in batch]
        watch = Watch(number, self.where, self.ledger, decide)
        try:
            train(self.plan, self.base, trial, rows, self.data.validation, watch)
        except torch.OutOfMemoryError as error:
            watch.state = "failed"
            self.ledger.notes.append(f"trial {number}: {error}")
        self.ledger.ended(number, watch.state, watch.steps, watch.loss)
        return self.ledger.trials[number]

    def told(self) -> dict[str, Any]:
        """The book of this process, closed."""
        return {**self.ledger.told(), **shapes.memory(self.where, self.loaded_bytes), "ended_s": now()}


def sequential(plan: Plan) -> dict[str, Any]:
    """Under an Optuna study that has the drawn trials in its queue."""
    rival = Rival(plan)
    rungs = Rungs(plan.every, plan.factor)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    for trial in plan.trials:
        study.enqueue_trial({name: trial[name] for name in ("lora_rank", "batch_size", "learning_rate")})

    def objective(asked: optuna.Trial) -> float:
        asked.suggest_categorical(
            "lora_rank", sorted({*RANKS, *(trial["lora_rank"] for trial in plan.trials)})
        )
        asked.suggest_categorical(
            "batch_size", sorted({*BATCHES, *(trial["batch_size"] for trial in plan.trials)})
        )
        asked.suggest_float("learning_rate", *RATES, log=True)

        def decide(number: int, step: int, loss: float) -> bool:
            asked.report(loss, step)
            return plan.stopping and rungs.stops(number, step, loss)

        ended = rival.train(plan.trials[asked.number], decide)
        if ended.state == "pruned":
            raise optuna.TrialPruned
        return ended.loss  # not a number after a failure: Optuna's word for it is FAIL

    began = now()
    study.optimize(objective, n_trials=len(plan.trials))
    shapes.synchronise(rival.where)
    return outcome(plan, "sequential", [rival.told()], began, now(), rival.load_s)
