"""Reports the metrics of training steps, not more often than the study wants."""

from __future__ import annotations

import math
import time

import torch

from core.contract.events import event_types as e
from core.train.evaluation.scorecard import Scorecard
from core.train.step import device_memory


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
