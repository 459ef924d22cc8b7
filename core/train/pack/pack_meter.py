"""Measures a pack: seconds and tokens per round, and bytes of the base, of each trial and per token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from core.contract.events import event_types as e
from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Stack
from core.train.base import fused_layers
from core.train.base.base_model import Base
from core.train.data.dataset import Row
from core.train.reporter import Reporter
from core.train.step import device_memory
from core.train.step.overhead_time_shares import TimeShares
from core.train.trial.trial_training import Trial

EVERY_S = 2.0  # between two measurements of the same pack
ENOUGH = 3  # fewest rounds of a measurement


class ThroughputMeter:
    """Measures rounds in which every active trial trains.

    A measurement needs ``ENOUGH`` rounds of the same pack and is emitted at most every ``EVERY_S`` seconds.
    No round belongs to two measurements, so that they are independent samples.
    """

    def __init__(self, base: Base, stack: Stack, longest: int, reporter: Reporter) -> None:
        """``longest``: tokens of the longest training row."""
        self._base, self._stack, self._reporter = base, stack, reporter
        self._longest, self.shares = longest, TimeShares()
        device_memory.release_unused(base.device)
        device_memory.read_peak(base.device)  # resets the peak: loading the base used more
        self._before = int(device_memory.read_metrics(base.device)["memory/used_bytes"])
        self._base_bytes = sum(weight.numel() * weight.element_size() for weight in base.model.parameters())
        self._fused = fused_layers.are_fused(base.model)
        self._pack: tuple[int, ...] = ()
        self._rounds: list[tuple[float, int]] = []  # (seconds, tokens)
        self._widest = 0  # tokens of the largest pass, padding included
        self._emitted_at = 0.0
        self._token_bytes = 0.0  # activation bytes per token, as last measured

    def round(
        self,
        pack: tuple[int, ...],
        held: Mapping[int, Trial],
        rows: Sequence[Row],
        busy_s: float,
        widest: int,
        why: str,
        pass_tokens: int = 0,
    ) -> None:
        """Add one round.

        ``pack``: the trials that trained; ``held``: all trials on the worker, paused ones too; ``rows``:
        the rows of the round; ``widest``: tokens of its largest pass; ``why``: why trials have passes of
        their own, else ""; ``pass_tokens``: the measured fixed cost of a pass.
        """
        self._widest = max(self._widest, widest)
        if pack != self._pack:
            self._pack, self._rounds, self._emitted_at = pack, [], 0.0
            return  # the first round of a pack also allocates
        self._rounds = [*self._rounds, (busy_s, sum(len(row.ids) for row in rows))]
        now = time.monotonic()
        if len(self._rounds) >= ENOUGH and now - self._emitted_at >= EVERY_S:
            self._emitted_at = now
            self._report(held, why, pass_tokens)
            self._rounds, self._widest = [], 0  # the next peak counts later rounds only
            for trial in held.values():
                trial.latest[device_memory.ALONE] = self.alone(trial)

    def alone(self, trial: Trial) -> float:
        """Bytes that the trial would use alone: the base, its own tensors, and the activations of a
        micro-batch with rows of the greatest possible length."""
        tokens = trial.batch * min(int(trial.knobs["sequence_length"]), self._longest)
        if not self._token_bytes:  # it ended before a measurement: the worker's peak is the best guess
            return device_memory.read_metrics(self._base.device)["memory/peak_bytes"]
        return self._before + self._count_bytes(trial) + self._token_bytes * tokens

    def _report(self, trials: Mapping[int, Trial], why: str, pass_tokens: int) -> None:
        trial_bytes = {number: self._count_bytes(trial) for number, trial in trials.items()}
        now = device_memory.read_peak(self._base.device)
        growth = now.used_bytes - self._before - sum(trial_bytes.values())
        self._token_bytes = max(0.0, growth / max(1, self._widest))
        shares, self.shares = self.shares.shares(), TimeShares()
        self._reporter.emit(
            e.PackMeasured, worker="", device=str(self._base.device),
            trials=len(self._pack),
            tokens=round(statistics.mean(tokens for _, tokens in self._rounds)),
            round_s=statistics.median(seconds for seconds, _ in self._rounds),
            base_bytes=self._base_bytes, trial_bytes=trial_bytes,
            activation_bytes_per_token=self._token_bytes,
            used_bytes=now.used_bytes, free_bytes=now.free_bytes, total_bytes=now.total_bytes,
            why_alone=why, reserve_bytes=now.reserve_bytes, longest=self._longest, widest=self._widest,
            idle_bytes=self._before, pass_tokens=pass_tokens, fused=self._fused,
            **shares,
        )  # fmt: skip

    def _count_bytes(self, trial: Trial) -> int:
        """Bytes of the factors, the optimizer state, and the trial's part of the stack with its gradients."""
        tensors, _ = optimizers.list_tensors(trial.optimizer)
        own = sum(
            tensor.numel() * tensor.element_size() for tensor in [trial.factors.matrix, *tensors.values()]
        )
        result: int = own + self._stack.bytes_of(trial.factors)
        return result
