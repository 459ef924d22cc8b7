"""One trial: its factors, its optimizer, and its life as a generator of micro-batches that it wants done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from core.contract import events as e
from core.contract.spec import Spec
from core.contract.work import Assign
from core.evaluate.patience import Patience
from core.evaluate.quality import Sums
from core.train import adapters, checkpoint, dropout, evidence, memory, optimizer, schedule
from core.train.boards import Boards
from core.train.data import Data, Row
from core.train.factors import Factors
from core.train.forward import Item, count_targets
from core.train.model import Base
from core.train.order import Order
from core.train.past import Past
from core.train.places import Layout, Place
from core.train.position import Position
from core.train.wants import Done, Judge, Learn, Update, Want

GRADIENT = "gradient"  # of a step under way, among the optimizer's tensors
Tell = Callable[[e.Event], None]


class Diverged(Exception):
    """The loss or its gradient is not a number any more."""


@dataclass
class Partial:
    """What is done of a step, or of an evaluation, that is under way."""

    micro_batches: int = 0
    loss: float = 0.0  # of these micro-batches, as a part of the step's
    busy_s: float = 0.0
    judged: int = 0  # validation rows
    sums: Sums = field(default_factory=Sums)  # of these rows


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
        boards: Boards | None = None,
    ) -> None:
        """Raises adapters.Unfit when the knobs cannot be had here."""
        self.number, self.knobs, self.folder = assign.trial, assign.knobs, Path(assign.folder)
        self._spec, self._base, self._tell, self._boards = spec, base, tell, boards
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
        self._partial, self._done = Partial(), 0  # wants done in all its life
        self.best_at: Position | None = None  # where it stood after its best evaluation
        self._why = ""  # why its last evaluation ended it
        self._scored_step, self._scoring_s = -1, 0.0
        self._past = Past()
        self._unsaid: dict[str, str] = {}  # why the latest scoring has no value, by metric

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
        every = self._spec.evaluate.every
        if self.step and self.step % every == 0:
            yield from self._look()  # it was left before or in it
        while self.step < self.total_steps and not self._why:
            yield from self._train_step()
            if self.step % every == 0 or self.step == self.total_steps:
                yield from self._look()
        yield from self._look()
        return self._why

    def _look(self) -> Generator[Want, tuple[Done, float], None]:
        """Evaluate and score where that is not done yet."""
        if self._evaluated_step != self.step:
            self._why = yield from self._evaluate()
        if self._boards is not None and self._scored_step != self.step:
            yield from self._score(self._boards)

    def _train_step(self) -> Generator[Want, tuple[Done, float], None]:
        """Go on where ``_partial`` is. Between any two micro-batches it can be left and taken up again."""
        first, partial = self.step * self._accumulation, self._partial
        batches = [self._order.micro_batch(first + one) for one in range(self._accumulation)]
        targets = sum(count_targets(rows) for rows in batches)
        update = Update(targets, self._rate(), float(self.knobs["clip_norm"]) or math.inf)
        norm = 0.0
        for index in range(partial.micro_batches, self._accumulation):
            items = self._items(batches[index], first + index)
            last = index + 1 == self._accumulation
            done, took_s = yield from self._ask(Learn(items, update if last else None))
            self._finite("loss", done.loss)
            partial.micro_batches, norm = index + 1, done.norm
            partial.loss, partial.busy_s = partial.loss + done.loss / targets, partial.busy_s + took_s
        self._finite("gradient's norm", norm)
        self._partial = Partial()
        self.step += 1
        self.elapsed_s += partial.busy_s
        tokens = sum(len(row.ids) for rows in batches for row in rows)
        rate = tokens / partial.busy_s if partial.busy_s else 0.0
        self._report(partial.loss, norm, update.rate, rate)

    def _ask(self, want: Want) -> Generator[Want, tuple[Done, float], tuple[Done, float]]:
        result = yield want
        self._done += 1
        return result

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
        partial, size = self._partial, self._spec.evaluate.batch_size
        while partial.judged < len(self._held):
            rows = self._held[partial.judged : partial.judged + size]
            done, _ = yield from self._ask(Judge([Item(self.factors, row) for row in rows]))
            partial.sums.add(done.loss, count_targets(rows), done.hits)
            partial.judged += len(rows)
        self._partial = Partial()
        metrics = partial.sums.metrics()
        self._evaluated_step = self.step
        self.latest.update(metrics)
        self._say(e.TrialEvaluated, step=self.step, elapsed_s=self.elapsed_s, metrics=metrics)
        value, best = metrics.get(self._goal), self._patience.best
        why = self._patience.seen(value) if value is not None else None
        if self._patience.best != best:
            self.best_at = self.position
        return why or ""

    def _score(self, boards: Boards) -> Generator[Want, tuple[Done, float], None]:
        """Fill the boards. Left in the middle, it is begun anew: nothing of it is kept before its end."""
        last = bool(self._why) or self.step == self.total_steps
        writes = boards.writes(self.step, last)
        scored = yield from boards.score(self.factors, writes, self.elapsed_s, self._scoring_s)
        if last and boards.tasks is not None:
            scored.join((yield from boards.tasks.score(self.factors, boards.base_values, self._prepare)))
            self._prepare(-1)
        self._done += 1
        self._scored_step, self._scoring_s = self.step, self._scoring_s + scored.took_s
        for name, score in scored.scores.items():
            self.latest.pop(name, None)
            if score.value is not None:
                self.latest[name] = score.value
            self._unsaid[name] = score.reason if score.value is None else ""
        evidence.write(self.folder, self.step, scored.worst, self._warn)
        self._say(
            e.TrialScored,
            step=self.step, elapsed_s=self.elapsed_s, scores=scored.scores, took_s=scored.took_s,
            changes=scored.changes, since=self._past.compare(scored, self.step),
        )  # fmt: skip

    def values(self) -> tuple[float, ...]:
        """The study's objectives as they are now. Raises Diverged when one never was a number."""
        goals = [one.metric for one in self._spec.study.objectives]
        missing = [goal for goal in goals if goal not in self.latest]
        if missing:
            why = self._unsaid.get(missing[0])
            raise Diverged(
                f"{missing[0]} has no value: {why}" if why else f"{missing[0]} was never a finite number"
            )
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
        if memory.ALONE in self.latest:
            metrics[memory.ALONE] = self.latest[memory.ALONE]
        metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.latest.update(metrics)
        now = time.monotonic()
        due = now - self._reported_at >= self._spec.resources.report_every_s
        if due or self.step in (1, self.total_steps) or self.step % self._spec.evaluate.every == 0:
            self._reported_at = now
            self._say(e.TrialReported, step=self.step, elapsed_s=self.elapsed_s, metrics=metrics)

    def _prepare(self, done: int) -> None:
        """How many requests of the tasks at its end are answered; -1: all."""
        stage = f"trial {self.number}: the tasks of evaluate.tasks" if done >= 0 else ""
        study, done = self._spec.study.name, max(0, done)
        self._tell(
            e.Preparing(at=time.time(), study=study, worker="", stage=stage, done=done, unit="answers")
        )

    def _warn(self, text: str) -> None:
        study, told = self._spec.study.name, f"trial {self.number}: {text}"
        self._tell(e.StudyNoted(at=time.time(), study=study, text=told, level="warning"))

    def _say(self, kind: type[e.TrialEvent], **fields: object) -> None:
        self._tell(kind(at=time.time(), study=self._spec.study.name, trial=self.number, **fields))  # type: ignore[arg-type]

    # -- checkpoints ------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """Where it stands; greater when it is further on."""
        return Position(self.step, self._done)

    def snapshot(self) -> checkpoint.Snapshot:
        """The trial as it stands between two micro-batches; copies in host memory."""
        tensors, numbers = optimizer.tensors_of(self.optimizer)
        if self._partial.micro_batches and self.factors.grad is not None:
            tensors = {**tensors, GRADIENT: self.factors.grad}
        return checkpoint.Snapshot(
            adapter=checkpoint.copied(dict(self.factors.named())),
            optimizer=checkpoint.copied(tensors),
            numbers={
                "step": self.step,
                "done": self._done,
                "elapsed_s": self.elapsed_s,
                "optimizer": numbers,
                "best": self._patience.best,
                "best_at": self.best_at,
                "waited": self._patience.waited,
                "latest": dict(self.latest),
                "evaluated_step": self._evaluated_step,
                "scored": [self._scored_step, self._scoring_s],
                "unsaid": dict(self._unsaid),
                "past": self._past.numbers(),
                "why": self._why,
                "partial": asdict(self._partial),
            },
        )

    def restore(self, snapshot: checkpoint.Snapshot) -> None:
        """Go on from ``snapshot``; before ``life`` begins."""
        numbers, tensors = snapshot.numbers, dict(snapshot.optimizer)
        partial = dict(numbers["partial"])
        gradient = tensors.pop(GRADIENT, None)
        self.factors.load(snapshot.adapter)
        self.factors.grad = None if gradient is None else gradient.to(self._base.device)
        optimizer.restore(self.optimizer, tensors, numbers["optimizer"])
        self.step, self.elapsed_s = int(numbers["step"]), float(numbers["elapsed_s"])
        self._done = int(numbers["done"])
        self._patience.best, self._patience.waited = numbers["best"], int(numbers["waited"])
        self.best_at = Position(*numbers["best_at"]) if numbers["best_at"] else None
        self.latest, self._evaluated_step = dict(numbers["latest"]), int(numbers["evaluated_step"])
        self._scored_step, self._scoring_s = numbers.get("scored", (-1, 0.0))
        self._past.restore(numbers.get("past", {}))
        self._unsaid, self._why = dict(numbers.get("unsaid", {})), str(numbers.get("why", ""))
        self._partial = Partial(**{**partial, "sums": Sums(**partial["sums"])})

    def to(self, device: torch.device) -> None:
        """Take all its tensors to ``device``."""
        self.factors.to(device)
        optimizer.move(self.optimizer, device)
