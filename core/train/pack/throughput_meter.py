"""What the pack takes and gives: seconds and tokens of a round, bytes of the base, the trials and a token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.data.dataset import Row
from core.train.step import device_memory
from core.train.trial.trial_training import Tell, Trial

EVERY_S = 2.0  # between two words on the same company
ENOUGH = 3  # rounds of one company in a measurement, at least


class Meter:
    """Measures rounds in which every trial trains; told after ``ENOUGH`` of one company, then at times. No
    round is in two measurements: whoever compares them takes each for a reading of its own."""

    def __init__(self, spec: Spec, base: Base, stack: Stack, longest: int, tell: Tell) -> None:
        """``longest``: tokens of the longest training row."""
        self._spec, self._base, self._stack, self._tell = spec, base, stack, tell
        self._longest = longest
        device_memory.release_unused(base.device)
        device_memory.read_peak(base.device)  # loading took more
        self._before = int(device_memory.read_metrics(base.device)["memory/used_bytes"])
        self._base_bytes = sum(one.numel() * one.element_size() for one in base.model.parameters())
        self._company: tuple[int, ...] = ()
        self._rounds: list[tuple[float, int]] = []  # (seconds, tokens)
        self._widest = 0  # tokens of the largest pass, padding included
        self._told_at = 0.0
        self._token_bytes = 0.0  # activations of a token, as last measured

    def round(
        self,
        company: tuple[int, ...],
        held: Mapping[int, Trial],
        rows: Sequence[Row],
        busy_s: float,
        widest: int,
        why: str,
    ) -> None:
        """Take a round of ``company`` in: its rows, how long it took, the tokens of its largest pass; and all
        trials that are ``held``, paused ones too."""
        self._widest = max(self._widest, widest)
        if company != self._company:
            self._company, self._rounds, self._told_at = company, [], 0.0
            return  # the first of a company also allocates
        self._rounds = [*self._rounds, (busy_s, sum(len(row.ids) for row in rows))]
        now = time.monotonic()
        if len(self._rounds) >= ENOUGH and now - self._told_at >= EVERY_S:
            self._told_at = now
            self._tell(self._measured(held, why))
            self._rounds, self._widest = [], 0  # the next peak is that of the rounds to come
            for trial in held.values():
                trial.latest[device_memory.ALONE] = self.alone(trial)

    def alone(self, trial: Trial) -> float:
        """Bytes that the trial takes with nobody beside it: the base, its own tensors, and the activations of
        a micro-batch of rows as long as they may be."""
        tokens = trial.batch * min(int(trial.knobs["sequence_length"]), self._longest)
        if not self._token_bytes:  # it was too short to be measured: what the worker took at most
            return device_memory.read_metrics(self._base.device)["memory/peak_bytes"]
        return self._before + self._bytes_of(trial) + self._token_bytes * tokens

    def _measured(self, trials: Mapping[int, Trial], why: str) -> e.PackMeasured:
        held = {one: self._bytes_of(trial) for one, trial in trials.items()}
        now = device_memory.read_peak(self._base.device)
        growth = now.used_bytes - self._before - sum(held.values())
        self._token_bytes = max(0.0, growth / max(1, self._widest))
        return e.PackMeasured(
            at=time.time(), study=self._spec.study.name, worker="", device=str(self._base.device),
            trials=len(self._company),
            tokens=round(statistics.mean(tokens for _, tokens in self._rounds)),
            round_s=statistics.median(seconds for seconds, _ in self._rounds),
            base_bytes=self._base_bytes, trial_bytes=held,
            activation_bytes_per_token=self._token_bytes,
            used_bytes=now.used_bytes, free_bytes=now.free_bytes, total_bytes=now.total_bytes,
            why_alone=why, reserve_bytes=now.reserve_bytes, longest=self._longest, widest=self._widest,
            idle_bytes=self._before,
        )  # fmt: skip

    def _bytes_of(self, trial: Trial) -> int:
        """Factors, optimizer state, and their part of the stack with its gradients."""
        tensors, _ = optimizers.tensors_of(trial.optimizer)
        own = sum(one.numel() * one.element_size() for one in [trial.factors.matrix, *tensors.values()])
        return own + self._stack.bytes_of(trial.factors)
