"""Inspects trials between rounds, a few rows at a time, with copies of their adapters."""

from __future__ import annotations

import logging
import time
from collections.abc import Container
from dataclasses import dataclass
from typing import Protocol

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors, copy_frozen
from core.train.introspection.trial_introspection import InspectionSchedule, Introspector, Look
from core.train.step.oom_report import is_device_failure, is_out_of_memory

log = logging.getLogger("trimtab.insides")
UNIT_S = 0.25  # messages and training wait for one unit
LAST_S = 5.0  # for trials that are complete, before the worker exits


class Budget(Protocol):
    """What limits the time that is taken from training."""

    def allows(self, training: bool) -> bool:
        """Whether a unit of work may run now."""

    def spend(self, took_s: float) -> None:
        """Record the duration of a unit."""


class Inspected(Protocol):
    """What is used of a trial."""

    @property
    def number(self) -> int:
        """The trial's number."""

    @property
    def step(self) -> int:
        """The steps that it has trained."""

    @property
    def factors(self) -> Factors:
        """Its adapter, on the device."""

    @property
    def inspections(self) -> InspectionSchedule:
        """Where its report goes."""


@dataclass(frozen=True)
class CompleteTrial:
    """A trial that has left the pack, without its optimizer's tensors, whose memory others need."""

    number: int
    step: int
    factors: Factors
    inspections: InspectionSchedule


class BackgroundInspection:
    """Inspects one trial after the other, as it is when its turn comes.

    While trials train, it takes part of the share of the time that scoring may take. A trial that leaves or
    pauses before its turn is not inspected; one that is complete is.
    """

    def __init__(self, introspector: Introspector, stack: Stack, budget: Budget) -> None:
        """Use ``stack``, which nothing else uses."""
        self.introspector, self._stack, self._budget = introspector, stack, budget
        self._queue: dict[int, Inspected] = {}
        self._number, self._step, self._took_s = -1, 0, 0.0  # of the present inspection
        self._schedule: InspectionSchedule | None = None
        self._look: Look | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is left to inspect."""
        return bool(self._queue) or self._look is not None

    def submit(self, trial: Inspected) -> None:
        """Inspect ``trial`` soon."""
        self._queue[trial.number] = trial

    def complete(self, number: int) -> None:
        """Keep of a trial that leaves the pack complete what its inspection needs; where there is no memory
        for that, it is not inspected."""
        if (trial := self._queue.pop(number, None)) is None:
            return
        try:
            factors = copy_frozen(trial.factors)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            trial.inspections.skip(f"step {trial.step} is not inspected: out of memory for a copy")
            return
        self._queue[number] = CompleteTrial(number, trial.step, factors, trial.inspections)

    def drop(self, number: int, begun: bool = True) -> None:
        """Do not inspect this trial; with ``begun`` False an inspection that has begun goes on."""
        self._queue.pop(number, None)
        if begun and self._number == number:
            self._end()

    def turn(self, training: bool) -> None:
        """Inspect rows for a short time, if the budget allows it. Raises torch.AcceleratorError."""
        if not self.busy or not self._budget.allows(training):
            return
        began = time.perf_counter()
        while self.busy and time.perf_counter() < began + UNIT_S:
            self._inspect_row()
        self._budget.spend(time.perf_counter() - began)

    def finish(self, members: Container[int]) -> None:
        """Inspect the complete trials, those that are no longer ``members``, before the worker exits."""
        self._queue = {number: trial for number, trial in self._queue.items() if number not in members}
        if self._number in members:
            self._end()
        until = time.perf_counter() + LAST_S
        while self.busy and time.perf_counter() < until:
            self._inspect_row()

    def _inspect_row(self) -> None:
        began = time.perf_counter()
        try:
            if self._look is None or self._schedule is None:
                self._begin(self._queue.pop(next(iter(self._queue))))
                return
            next(self._look)
        except StopIteration as over:
            assert self._schedule is not None
            report = self.introspector.report(self._number, self._step, over.value)
            self._schedule.finish(report, self._took_s)
            self._end()
        except Exception as error:
            if is_device_failure(error):
                raise
            log.error("the inspection of a trial", exc_info=error)
            self._end()
        self._took_s += time.perf_counter() - began

    def _begin(self, trial: Inspected) -> None:
        self._number, self._step, self._took_s = trial.number, trial.step, 0.0
        self._schedule = trial.inspections
        factors = trial.factors if isinstance(trial, CompleteTrial) else copy_frozen(trial.factors)
        self._stack.compose([(factors, 1)])
        self._look = self.introspector.look(factors)

    def _end(self) -> None:
        self._number, self._schedule, self._look = -1, None, None
        self._stack.compose([])
