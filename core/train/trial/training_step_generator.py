"""The training steps of a trial, from their requests to their reports."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from core.contract.events import event_types as e
from core.train.adapters import lr_schedule
from core.train.adapters.lora_factors import Factors
from core.train.data.dataset import Row
from core.train.evaluation.trial_scores import Diverged, Scorecard
from core.train.kernels import counter_dropout
from core.train.step import device_memory
from core.train.step.augmentation import find_augment
from core.train.step.compute_requests import Learn, Request, TimedResult, Update
from core.train.step.forward_pass import Item, count_targets
from core.train.trial.checkpoint_record import Partial


@dataclass(frozen=True)
class TrainingStep:
    """The gradients of a step's micro-batches, then an update. ``step`` counts from 0."""

    factors: Factors
    knobs: Mapping[str, Any]
    step: int
    total_steps: int
    micro_batches: Sequence[list[Row]]
    first: int  # micro-batches that the trial trained before this step
    precision: str  # of the base

    def run(self, partial: Partial) -> Generator[Request, TimedResult, float]:
        """Train from ``partial`` on; returns the gradient's norm. It can be interrupted between any two
        micro-batches. Raises Diverged."""
        norm, targets = 0.0, self.update.targets
        for index in range(partial.micro_batches, len(self.micro_batches)):
            last = index + 1 == len(self.micro_batches)
            result, took_s = yield Learn(self._make_items(index), self.update if last else None)
            self._check_finite("the loss", result.loss)
            partial.micro_batches, norm = index + 1, result.norm
            partial.loss, partial.busy_s = partial.loss + result.loss / targets, partial.busy_s + took_s
        self._check_finite("the gradient norm", norm)
        return norm

    @cached_property
    def update(self) -> Update:
        """The optimizer's step after the last micro-batch."""
        targets = sum(count_targets(rows) for rows in self.micro_batches)
        return Update(targets, self._compute_rate(), float(self.knobs["clip_norm"]) or math.inf)

    @property
    def tokens(self) -> int:
        """Tokens of the step, prompts included."""
        return sum(len(row.ids) for rows in self.micro_batches for row in rows)

    def _compute_rate(self) -> float:
        scheduler, warmup = str(self.knobs["scheduler"]), float(self.knobs["warmup"])
        share = lr_schedule.compute_factor(scheduler, warmup, self.step, self.total_steps)
        return float(self.knobs["learning_rate"]) * share

    def _make_items(self, index: int) -> list[Item]:
        seed, micro_batch = self.factors.seed, self.first + index
        augment = find_augment(self.knobs)
        return [
            Item(self.factors, row, counter_dropout.make_row_key(seed, micro_batch, place), augment=augment)
            for place, row in enumerate(self.micro_batches[index])
        ]

    def _check_finite(self, name: str, value: float) -> None:
        if math.isfinite(value):
            return
        why = f"; a lower learning_rate (now {self.knobs['learning_rate']:g}) or clip_norm (now "
        why += f"{self.knobs['clip_norm']:g}) may help"
        if self.step == 0:  # nothing was trained yet
            why = f", before any update: the cause is the base in {self.precision}, or the rows"
        raise Diverged(f"{name} is {value} at step {self.step + 1}{why}")


class TrainingReports:
    """The training metrics of one trial; between two reports at least ``every_s`` seconds pass."""

    def __init__(self, card: Scorecard, device: torch.device, every_s: float) -> None:
        self._card, self._device, self._every_s = card, device, every_s
        self._reported_at = 0.0

    def report(self, step: int, elapsed_s: float, metrics: dict[str, float], important: bool) -> None:
        """Record the metrics of a step, and report them if it is time or the step is ``important``."""
        latest = self._card.latest
        metrics = {**metrics, **device_memory.read_metrics(self._device)}
        if device_memory.ALONE in latest:
            metrics[device_memory.ALONE] = latest[device_memory.ALONE]
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        latest.update(metrics)
        now = time.monotonic()
        if important or now - self._reported_at >= self._every_s:
            self._reported_at = now
            self._card.reporter.emit(e.TrialReported, step=step, elapsed_s=elapsed_s, metrics=metrics)
