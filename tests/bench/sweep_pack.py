"""The sweep by trimtab's own pack, in this process: trials join as places become free."""

from __future__ import annotations

import importlib
import queue
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import torch

from core.contract.events import event_types as e
from core.contract.wire.worker_api import Assign, Prune
from core.train.pack.trial_pack import Pack
from tests.bench import sweep_shapes as shapes
from tests.bench.sweep_ledger import Ledger, Rungs, now, outcome
from tests.bench.sweep_plan import Plan, Trial, data, knobs, spec

LAST_WORD_S = 60.0


class Runner:
    """Does for one pack what the engine does: hands trials out, hears of evaluations, stops trials.

    The device's rest at a join is the time from the end of one turn to the beginning of the next. What a
    turn does for a trial that leaves is not to be seen from here: there it is the time from the last
    evaluation or report of that turn to its end.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        for late in ("peft", "transformers"):  # the rivals have them when their clocks begin
            importlib.import_module(late)
        began = now()
        self.plan, self.where, self.ledger = plan, torch.device(plan.device), Ledger()
        self._folder, self._spec = folder, spec(plan)
        self._base = shapes.load_base(plan.base, plan.precision, self.where)
        rows = data(plan)
        self.load_s = now() - began
        self._rungs = Rungs(plan.every, plan.factor)
        self._heard: queue.SimpleQueue[tuple[float, e.Event]] = queue.SimpleQueue()
        self._waiting: deque[Trial] = deque(plan.trials)
        self._prune: list[Prune] = []
        self._latest: dict[int, tuple[int, float]] = {}  # trial: step and loss of its last evaluation
        self._computed_s = 0.0  # when the pack last told of something that it had computed
        self._pack = Pack(self._spec, self._base, rows, self._tell)
        self._loaded_bytes = shapes.forget_peak(self.where)

    def _tell(self, event: e.Event) -> None:
        self._heard.put((now(), event))  # from any thread

    def run(self) -> None:
        """Until every trial has ended."""
        while self._waiting or len(self._pack):
            if self._prune or (self._waiting and len(self._pack) < self._places):
                self._come_and_go()
            self._turn()
            self._hear()
        if hasattr(self._pack, "settle"):
            self._pack.settle()
        shapes.synchronise(self.where)
        self._hear()
        while len(self.ledger.trials) < len(self.plan.trials):  # the last words come from another thread
            self._heed(*self._heard.get(timeout=LAST_WORD_S))

    def told(self) -> dict[str, Any]:
        """The book, closed."""
        return {**self.ledger.told(), **shapes.memory(self.where, self._loaded_bytes)}

    @property
    def _places(self) -> int:
        return self.plan.pack or len(self.plan.trials)

    def _come_and_go(self) -> None:
        if self.ledger.first_step_s:
            shapes.synchronise(self.where)
            self.ledger.rests()
        for message in self._prune:
            self._pack.do(message)
        self._prune.clear()
        while self._waiting and len(self._pack) < self._places:
            trial = self._waiting.popleft()
            folder = self._folder / str(trial["number"])
            folder.mkdir(parents=True, exist_ok=True)
            self._pack.do(Assign(trial["number"], knobs(self._spec, trial), str(folder)))
        shapes.synchronise(self.where)

    def _turn(self) -> None:
        self.ledger.works()
        before, began = set(self._pack.numbers), now()
        self._pack.turn()
        if before - set(self._pack.numbers):
            shapes.synchronise(self.where)
            ended = now()
            self._hear()
            if self._computed_s > began:
                self.ledger.gaps.append((self._computed_s, ended))

    def _hear(self) -> None:
        while not self._heard.empty():
            self._heed(*self._heard.get())

    def _heed(self, at_s: float, event: e.Event) -> None:
        match event:
            case e.TrialReported():
                self._computed_s = at_s
            case e.TrialEvaluated():
                self._computed_s = at_s
                self._evaluated(event)
            case e.TrialCompleted():
                self.ledger.ended(event.trial, "completed", event.step, event.values[0], at_s)
            case e.TrialPruned():
                self.ledger.ended(event.trial, "pruned", event.step, self._loss(event.trial), at_s)
            case e.TrialFailed() | e.TrialInfeasible():
                step = self._latest.get(event.trial, (0, 0.0))[0]
                self.ledger.ended(event.trial, "failed", step, self._loss(event.trial), at_s)
                why = event.error if isinstance(event, e.TrialFailed) else event.why
                self.ledger.notes.append(f"trial {event.trial}: {why}")

    def _evaluated(self, event: e.TrialEvaluated) -> None:
        loss = event.metrics["eval/loss"]
        self._latest[event.trial] = event.step, loss
        last = event.step >= self.plan.steps
        if self.plan.stopping and not last and self._rungs.stops(event.trial, event.step, loss):
            self._prune.append(Prune(event.trial, "not among the best of its rung"))

    def _loss(self, trial: int) -> float:
        return self._latest.get(trial, (0, float("nan")))[1]


def packed(plan: Plan) -> dict[str, Any]:
    """The whole sweep by one pack."""
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(plan, Path(folder))
        began = now()
        runner.run()
        ended = now()
        return outcome(plan, "trimtab", [runner.told()], began, ended, runner.load_s)
