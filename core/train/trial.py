"""One trial: an adapter, its optimizer, and its life as a generator that can be left between any two
micro-batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from core.contract import events as e
from core.contract.spec import Spec
from core.contract.work import Assign
from core.evaluate.patience import Patience
from core.evaluate.quality import Sums
from core.train import adapters, checkpoint, memory, optimizer, schedule
from core.train.data import Data, Row, cut, has_target
from core.train.forward import count_targets, judge, summed_loss
from core.train.model import Base
from core.train.order import Order
from core.train.stream import Stream

Tell = Callable[[e.Event], None]


class Diverged(Exception):
    """The loss or its gradient is not a number any more."""


class Trial:
    """Trains one adapter. Between two yields of ``life`` the base belongs to whoever asks for it."""

    def __init__(self, spec: Spec, base: Base, data: Data, assign: Assign, tell: Tell) -> None:
        """Raises adapters.Unfit when the knobs cannot be had here."""
        self.number, self.knobs, self.folder = assign.trial, assign.knobs, Path(assign.folder)
        self.name = f"trial{assign.trial}"
        self._spec, self._base, self._data, self._tell = spec, base, data, tell
        length = int(self.knobs["sequence_length"])
        rows = _shortened(data.train, length)
        self._held = sorted(_shortened(data.validation, length), key=lambda row: len(row.ids))  # less padding
        if not rows or not self._held:
            raise adapters.Unfit(f"sequence_length = {length}: no row has a target token within it")
        batch, seed = int(self.knobs["batch_size"]), int(self.knobs["seed"])
        self._accumulation = int(self.knobs["gradient_accumulation"])
        self.total_steps = self._count_steps(len(rows), batch * self._accumulation)
        self._order, self._stream = Order(rows, batch, seed), Stream(seed, base.device)
        self._config = adapters.attach(base, self.name, self.knobs)
        self._weights = adapters.parameters(base, self.name)
        self._dropouts = adapters.dropouts(base, self.name)
        try:
            self._optimizer = optimizer.make(self._weights, self.knobs)
        except adapters.Unfit:
            adapters.detach(base, self.name)
            raise
        goal = spec.study.objectives[0]
        self._goal = goal.metric if goal.metric.startswith("eval/") else "eval/loss"
        direction = goal.direction if self._goal == goal.metric else "minimize"
        self._patience = Patience(spec.evaluate.patience, spec.evaluate.min_delta, direction)
        self.step, self.elapsed_s = 0, 0.0
        self.latest: dict[str, float] = {}
        self._stream_before = self._stream.state  # as it was at the end of the last whole step
        self._reported_at, self._evaluated_step = 0.0, -1

    @property
    def trainable(self) -> int:
        """Parameters of the adapter."""
        return sum(weight.numel() for weight in self._weights)

    def _count_steps(self, rows: int, rows_a_step: int) -> int:
        if self.knobs.get("steps"):
            return int(self.knobs["steps"])
        return max(1, math.ceil(float(self.knobs["epochs"]) * rows / rows_a_step))

    # -- life -------------------------------------------------------------------------------------

    def life(self) -> Iterator[None]:
        """Train, evaluate, save; yields after every micro-batch and every batch of an evaluation."""
        every, keep_every = self._spec.evaluate.every, self._spec.resources.checkpoint_every
        why = ""
        if self.step and self.step % every == 0 and self._evaluated_step != self.step:
            why = yield from self._evaluate()  # the checkpoint was taken before it
        while self.step < self.total_steps and not why:
            yield from self._train_step()
            if self.step % every == 0 or self.step == self.total_steps:
                why = yield from self._evaluate()
            if keep_every and self.step % keep_every == 0 and self.step < self.total_steps and not why:
                self.write_checkpoint()
        if self._evaluated_step != self.step:
            yield from self._evaluate()
        self._complete(why)

    def _train_step(self) -> Iterator[None]:
        first = self.step * self._accumulation
        batches = [self._order.micro_batch(first + one) for one in range(self._accumulation)]
        targets = sum(count_targets(rows) for rows in batches)
        self._optimizer.zero_grad(set_to_none=True)
        busy_s, loss = 0.0, 0.0
        for index, rows in enumerate(batches):
            if index:
                yield  # a checkpoint taken here repeats the step
            began = time.perf_counter()
            loss += self._backward(rows, targets) / targets
            busy_s += time.perf_counter() - began
        began = time.perf_counter()
        norm, rate = self._update(targets)
        busy_s += time.perf_counter() - began
        self.step += 1
        self._stream_before = self._stream.state
        self.elapsed_s += busy_s
        tokens = sum(len(row.ids) for rows in batches for row in rows)
        self._report(loss, norm, rate, tokens / busy_s if busy_s else 0.0)
        yield

    @property
    def _summed(self) -> bool:
        """In half precision the loss's sum is backpropagated, and the gradient divided in float32: the small
        numbers of a mean would be lost below 6e-8."""
        return self._base.model.dtype == torch.float16

    def _backward(self, rows: list[Row], targets: int) -> float:
        """One micro-batch: its share of the step's mean loss is backpropagated. Returns its summed loss."""
        for dropout in self._dropouts:
            dropout.train()
        with self._stream.drawn():
            loss = summed_loss(self._base, rows)
            (loss if self._summed else loss / targets).backward()
        value = float(loss.detach())
        self._finite("loss", value)
        return value

    def _update(self, targets: int) -> tuple[float, float]:
        """Clip, step, schedule. Returns the norm before clipping and the rate used."""
        if self._summed:
            for weight in self._weights:
                if weight.grad is not None:
                    weight.grad /= targets
        clip = float(self.knobs["clip_norm"])
        norm = torch.nn.utils.clip_grad_norm_(self._weights, clip if clip > 0 else math.inf)
        self._finite("gradient's norm", float(norm))
        shape = schedule.factor(
            str(self.knobs["scheduler"]), float(self.knobs["warmup"]), self.step, self.total_steps
        )
        rate = float(self.knobs["learning_rate"]) * shape
        optimizer.set_rate(self._optimizer, rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm), rate

    def _finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise Diverged(
                f"the {name} is {value} at step {self.step + 1}; a lower learning_rate (now "
                f"{self.knobs['learning_rate']:g}) or clip_norm (now {self.knobs['clip_norm']:g}) may help"
            )

    def _evaluate(self) -> Any:
        """Judge on the validation rows, a batch between two yields. Returns the reason to stop, or ""."""
        sums, size = Sums(), self._spec.evaluate.batch_size
        for start in range(0, len(self._held), size):
            for dropout in self._dropouts:
                dropout.eval()
            rows = self._held[start : start + size]
            loss, hits = judge(self._base, rows)
            sums.add(loss, count_targets(rows), hits)
            yield
        metrics = sums.metrics()
        self._evaluated_step = self.step
        self.latest.update(metrics)
        self._tell(
            e.TrialEvaluated(
                at=time.time(), study=self._spec.study.name, trial=self.number,
                step=self.step, elapsed_s=self.elapsed_s, metrics=metrics,
            )
        )  # fmt: skip
        value = metrics.get(self._goal)
        return (self._patience.seen(value) if value is not None else None) or ""

    def _complete(self, why: str) -> None:
        goals = [one.metric for one in self._spec.study.objectives]
        missing = [goal for goal in goals if goal not in self.latest]
        if missing:
            raise Diverged(f"{missing[0]} was never a finite number")
        adapters.save(self._base, self.name, self._config, self.folder / "adapter")
        self._tell(
            e.TrialCompleted(
                at=time.time(), study=self._spec.study.name, trial=self.number, step=self.step,
                values=tuple(self.latest[goal] for goal in goals), why=why,
                adapter=str(self.folder / "adapter"),
            )
        )  # fmt: skip

    # -- reports ----------------------------------------------------------------------------------

    def _report(self, loss: float, norm: float, rate: float, tokens_per_s: float) -> None:
        metrics = {
            "train/loss": loss,
            "train/learning_rate": rate,
            "train/grad_norm": norm,
            "train/tokens_per_s": tokens_per_s,
            **memory.readings(self._base.device),
        }
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.latest.update(metrics)
        now = time.monotonic()
        due = now - self._reported_at >= self._spec.resources.report_every_s
        if due or self.step in (1, self.total_steps) or self.step % self._spec.evaluate.every == 0:
            self._reported_at = now
            self._tell(
                e.TrialReported(
                    at=time.time(), study=self._spec.study.name, trial=self.number,
                    step=self.step, elapsed_s=self.elapsed_s, metrics=metrics,
                )
            )  # fmt: skip

    # -- checkpoints ------------------------------------------------------------------------------

    def snapshot(self) -> checkpoint.Snapshot:
        """The trial as it was at the end of its last whole step."""
        tensors, numbers = optimizer.tensors_of(self._optimizer)
        return checkpoint.Snapshot(
            adapter=dict(adapters.named(self._base, self.name)),
            optimizer=tensors,
            random={"dropout": self._stream_before},
            numbers={
                "step": self.step,
                "elapsed_s": self.elapsed_s,
                "optimizer": numbers,
                "best": self._patience.best,
                "waited": self._patience.waited,
                "latest": self.latest,
                "evaluated_step": self._evaluated_step,
            },
        )

    def restore(self, snapshot: checkpoint.Snapshot) -> None:
        """Go on from ``snapshot``."""
        with torch.no_grad():
            for key, weight in adapters.named(self._base, self.name):
                weight.copy_(snapshot.adapter[key])
        numbers = snapshot.numbers
        optimizer.restore(self._optimizer, snapshot.optimizer, numbers["optimizer"])
        self._stream.state = self._stream_before = snapshot.random["dropout"]
        self.step, self.elapsed_s = int(numbers["step"]), float(numbers["elapsed_s"])
        self._patience.best, self._patience.waited = numbers["best"], int(numbers["waited"])
        self.latest, self._evaluated_step = dict(numbers["latest"]), int(numbers["evaluated_step"])

    def write_checkpoint(self) -> None:
        """Write a checkpoint and tell of it. A full disk is a word, not an end."""
        study = self._spec.study.name
        try:
            path = checkpoint.write(self.folder, self.step, self.snapshot())
        except OSError as error:
            text = f"trial {self.number}: no checkpoint at step {self.step}: {error}"
            self._tell(e.StudyNoted(at=time.time(), study=study, text=text, level="warning"))
            return
        told = e.TrialCheckpointed(
            at=time.time(), study=study, trial=self.number, step=self.step, path=str(path)
        )
        self._tell(told)

    def leave(self) -> None:
        """Take the adapter off the base."""
        adapters.detach(self._base, self.name)


def _shortened(rows: list[Row], length: int) -> list[Row]:
    """The rows cut to ``length`` tokens that still teach something."""
    return [row for row in (cut(row, length) for row in rows) if has_target(row)]
