"""One trial: its factors, its optimizer, and its life as a generator of micro-batches that it wants done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import torch

from core.contract import events as e
from core.contract.spec import Spec
from core.contract.work import Assign
from core.evaluate.patience import Patience
from core.evaluate.quality import Sums
from core.train import adapters, checkpoint, dropout, memory, optimizer, schedule
from core.train.data import Data, Row
from core.train.factors import Factors
from core.train.forward import Item, count_targets
from core.train.model import Base
from core.train.order import Order
from core.train.places import Layout, Place

Tell = Callable[[e.Event], None]
Keep = Callable[["Trial"], None]


class Diverged(Exception):
    """The loss or its gradient is not a number any more."""


@dataclass(frozen=True)
class Learn:
    """Wanted: the gradient of these rows; after the last of a step, ``update`` too."""

    items: list[Item]
    update: Update | None = None


@dataclass(frozen=True)
class Update:
    """Wanted: a clipped step. ``targets`` divides the gradient: that of a sum becomes that of a mean."""

    targets: int
    rate: float
    clip: float  # inf: none


@dataclass(frozen=True)
class Judge:
    """Wanted: loss and hits of these rows."""

    items: list[Item]


@dataclass(frozen=True)
class Done:
    """What came of a want: ``loss`` summed over the rows' targets, the gradient's ``norm`` before clipping,
    and the ``hits`` of a judgement."""

    loss: float
    norm: float = 0.0
    hits: int = 0


Want = Learn | Judge
Life = Generator[Want, tuple[Done, float], str]  # sent: what came of the want, and the seconds it took


class Trial:
    """Wants one thing at a time; between two of them it can be left, taken elsewhere, or ended."""

    def __init__(
        self,
        spec: Spec,
        base: Base,
        places: list[Place],
        data: Data,
        assign: Assign,
        tell: Tell,
        keep: Keep,
    ) -> None:
        """``keep`` writes a checkpoint. Raises adapters.Unfit when the knobs cannot be had here."""
        self.number, self.knobs, self.folder = assign.trial, assign.knobs, Path(assign.folder)
        self._spec, self._base, self._tell, self._keep = spec, base, tell, keep
        length = int(self.knobs["sequence_length"])
        rows, held = data.shortened(length)
        if not rows or not held:
            raise adapters.Unfit(f"sequence_length = {length}: no row has a target token within it")
        self.batch, seed = int(self.knobs["batch_size"]), int(self.knobs["seed"])
        self._held = sorted(held, key=lambda row: len(row.ids))  # less padding
        self._accumulation = int(self.knobs["gradient_accumulation"])
        self.total_steps = self._count_steps(len(rows), self.batch * self._accumulation)
        self._order = Order(rows, self.batch, seed)
        names = adapters.targets(places, self.knobs["target_modules"])
        self.config = adapters.config(base, self.knobs, names)
        self.factors = self._begin(Layout(adapters.chosen(places, names)), seed)
        self.optimizer = optimizer.make(self.factors, self.knobs)
        goal = spec.study.objectives[0]
        self._goal = goal.metric if goal.metric.startswith("eval/") else "eval/loss"
        direction = goal.direction if self._goal == goal.metric else "minimize"
        self._patience = Patience(spec.evaluate.patience, spec.evaluate.min_delta, direction)
        self.step, self.elapsed_s = 0, 0.0
        self.latest: dict[str, float] = {}
        self._reported_at, self._evaluated_step = 0.0, -1

    def _begin(self, layout: Layout, seed: int) -> Factors:
        rank = int(self.knobs["lora_rank"])
        factors = Factors(
            layout, rank, float(self.knobs["lora_alpha"]), float(self.knobs["lora_dropout"]), seed,
            self._base.device,
        )  # fmt: skip
        try:
            factors.draw(str(self.knobs["initialisation"]))
        except ValueError as error:
            raise adapters.Unfit(f"the adapter cannot be made (rank {rank}): {error}") from error
        return factors

    @property
    def trainable(self) -> int:
        """Parameters of the adapter."""
        return self.factors.matrix.numel()

    def _count_steps(self, rows: int, rows_a_step: int) -> int:
        if self.knobs.get("steps"):
            return int(self.knobs["steps"])
        return max(1, math.ceil(float(self.knobs["epochs"]) * rows / rows_a_step))

    # -- life -------------------------------------------------------------------------------------

    def life(self) -> Life:
        """Train and evaluate; returns why it ended before its last step, or ""."""
        every, keep_every = self._spec.evaluate.every, self._spec.resources.checkpoint_every
        why = ""
        if self.step and self.step % every == 0 and self._evaluated_step != self.step:
            why = yield from self._evaluate()  # the checkpoint was taken before it
        while self.step < self.total_steps and not why:
            yield from self._train_step()
            if self.step % every == 0 or self.step == self.total_steps:
                why = yield from self._evaluate()
            if keep_every and self.step % keep_every == 0 and self.step < self.total_steps and not why:
                self._keep(self)
        if self._evaluated_step != self.step:
            yield from self._evaluate()
        return why

    def _train_step(self) -> Generator[Want, tuple[Done, float], None]:
        """A checkpoint taken between its micro-batches repeats the step."""
        first = self.step * self._accumulation
        batches = [self._order.micro_batch(first + one) for one in range(self._accumulation)]
        targets = sum(count_targets(rows) for rows in batches)
        update = Update(targets, self._rate(), float(self.knobs["clip_norm"]) or math.inf)
        self.factors.grad = None
        loss = norm = busy_s = 0.0
        for index, rows in enumerate(batches):
            items = self._items(rows, first + index)
            done, took_s = yield Learn(items, update if index + 1 == len(batches) else None)
            self._finite("loss", done.loss)
            loss, norm, busy_s = loss + done.loss / targets, done.norm, busy_s + took_s
        self._finite("gradient's norm", norm)
        self.step += 1
        self.elapsed_s += busy_s
        tokens = sum(len(row.ids) for rows in batches for row in rows)
        self._report(loss, norm, update.rate, tokens / busy_s if busy_s else 0.0)

    def _items(self, rows: list[Row], micro_batch: int) -> list[Item]:
        seed = self.factors.seed
        return [
            Item(self.factors, row, dropout.row_key(seed, micro_batch, index))
            for index, row in enumerate(rows)
        ]

    def _rate(self) -> float:
        knobs = self.knobs
        shape = schedule.factor(str(knobs["scheduler"]), float(knobs["warmup"]), self.step, self.total_steps)
        return float(knobs["learning_rate"]) * shape

    def _finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise Diverged(
                f"the {name} is {value} at step {self.step + 1}; a lower learning_rate (now "
                f"{self.knobs['learning_rate']:g}) or clip_norm (now {self.knobs['clip_norm']:g}) may help"
            )

    def _evaluate(self) -> Generator[Want, tuple[Done, float], str]:
        """Judge on the validation rows. Returns the reason to stop, or ""."""
        sums, size = Sums(), self._spec.evaluate.batch_size
        for start in range(0, len(self._held), size):
            rows = self._held[start : start + size]
            done, _ = yield Judge([Item(self.factors, row) for row in rows])
            sums.add(done.loss, count_targets(rows), done.hits)
        metrics = sums.metrics()
        self._evaluated_step = self.step
        self.latest.update(metrics)
        self._say(e.TrialEvaluated, step=self.step, elapsed_s=self.elapsed_s, metrics=metrics)
        value = metrics.get(self._goal)
        return (self._patience.seen(value) if value is not None else None) or ""

    def values(self) -> tuple[float, ...]:
        """The study's objectives as they are now. Raises Diverged when one never was a number."""
        goals = [one.metric for one in self._spec.study.objectives]
        missing = [goal for goal in goals if goal not in self.latest]
        if missing:
            raise Diverged(f"{missing[0]} was never a finite number")
        return tuple(self.latest[goal] for goal in goals)

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
            self._say(e.TrialReported, step=self.step, elapsed_s=self.elapsed_s, metrics=metrics)

    def _say(self, kind: type[e.TrialEvent], **fields: object) -> None:
        self._tell(kind(at=time.time(), study=self._spec.study.name, trial=self.number, **fields))  # type: ignore[arg-type]

    # -- checkpoints ------------------------------------------------------------------------------

    def snapshot(self) -> checkpoint.Snapshot:
        """The trial as it was at the end of its last whole step; copies in host memory."""
        tensors, numbers = optimizer.tensors_of(self.optimizer)
        return checkpoint.Snapshot(
            adapter=checkpoint.copied(dict(self.factors.named())),
            optimizer=checkpoint.copied(tensors),
            numbers={
                "step": self.step,
                "elapsed_s": self.elapsed_s,
                "optimizer": numbers,
                "best": self._patience.best,
                "waited": self._patience.waited,
                "latest": dict(self.latest),
                "evaluated_step": self._evaluated_step,
            },
        )

    def restore(self, snapshot: checkpoint.Snapshot) -> None:
        """Go on from ``snapshot``."""
        numbers = snapshot.numbers
        self.factors.load(snapshot.adapter)
        optimizer.restore(self.optimizer, snapshot.optimizer, numbers["optimizer"])
        self.step, self.elapsed_s = int(numbers["step"]), float(numbers["elapsed_s"])
        self._patience.best, self._patience.waited = numbers["best"], int(numbers["waited"])
        self.latest, self._evaluated_step = dict(numbers["latest"]), int(numbers["evaluated_step"])

    def to(self, device: torch.device) -> None:
        """Take all its tensors to ``device``."""
        self.factors.to(device)
        optimizer.move(self.optimizer, device)
