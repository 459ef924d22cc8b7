"""Answers the scoring questions of snapshots and the base: batched over all that ask, in bounded units."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.memory.estimate.rows_per_pass import MOST
from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.step.batched_generation import Generation
from core.train.step.compute_requests import Prompt, Written
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item
from core.train.step.oom_report import is_device_failure, is_out_of_memory
from core.train.step.target_token_losses import Reading
from core.train.step.token_tree_reader import can_read_trees
from core.train.step.tree_likelihood import RowScoring, take_sharing

UNIT_S = 0.25  # messages and training wait for one unit
IDLE_S = 0.45  # while nothing trains: longer passes cost less per token
ROWS = 64  # generated at once
SCORED_S = 6.0  # of rows that are read as trees together: a new trial's questions wait for them
RATE = 300.0  # tokens per second that a base reads, before any measurement
SMOOTH = 0.5  # weight of the newest measurement


@dataclass(frozen=True, eq=False)
class Question:
    """A row to score, or a prompt to continue. ``owner`` is the trial that asks, or BASE."""

    owner: int
    item: Item | None = None
    prompt: Prompt | None = None

    @property
    def tokens(self) -> int:
        """The longest completion."""
        return self.prompt.tokens if self.prompt is not None else 0

    @property
    def alone(self) -> bool:
        """Whether nothing else may be generated next to it."""
        return self.prompt is not None and self.prompt.alone

    @property
    def length(self) -> int:
        """Tokens of the row or prompt."""
        return (
            len(self.item.row.ids) if self.item is not None else len(self.prompt.ids if self.prompt else ())
        )


Answer = Reading | Written


@dataclass
class UnitResult:
    """Results of one unit: answers by question, and errors by owner."""

    answers: dict[Question, Answer] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


class BatchedAnswers:
    """Answers questions with a base and a stack of its own. ``alone``: rows of several models cannot share a
    pass."""

    def __init__(self, base: Base, stack: Stack, forward: Forward, alone: bool) -> None:
        self._base, self._stack, self._forward, self._alone = base, stack, forward, alone
        self._apart: set[int] = set()  # owners that failed in a shared pass: they get their own
        self._trees: bool | None = None  # whether the base reads token trees, once known
        self._now: Generation | RowScoring | None = None
        self._taken: list[Question] = []  # the questions of the work that is under way, in its order
        self._rate, self.most = RATE, MOST

    @property
    def at_work(self) -> bool:
        """Whether a generation or a scoring of rows is under way; the stack must not change then."""
        return self._now is not None

    def count_generated(self, owner: int) -> int:
        """Return the work done on an owner's answers that are being generated, in answers: without it their
        count would stand still for many units and then jump, since a batch ends as a whole."""
        now = self._now
        if not isinstance(now, Generation):
            return 0
        rows = (row for row, question in enumerate(self._taken) if question.owner == owner)
        return int(sum(map(now.progress, rows)))

    def bind(self, tokens: int) -> None:
        """Limit a pass to ``tokens``; 0 lifts the limit."""
        self.most = min(MOST, tokens) if tokens else MOST

    def cancel(self) -> None:
        """Cancel what is under way; questions that are still open are asked again."""
        self._now, self._taken = None, []

    def unit(self, questions: Sequence[Question], limit_s: float = UNIT_S) -> UnitResult:
        """Work on the ``questions`` for about ``limit_s`` seconds. Raises torch.AcceleratorError."""
        unit = UnitResult()
        if self._now is None:
            questions = self._select_compatible(questions)
            rows = [question for question in questions if question.item is not None]
            if self._trees is None and questions:
                self._trees = can_read_trees(self._base, self._stack)
            if rows and not self._trees:
                self._score_rows(rows, limit_s, unit)
                return unit
            if rows:
                self._begin_rows(rows)
            else:
                self._begin(questions)
        if self._now is not None:
            self._go_on(self._now, limit_s, unit)
        return unit

    def _select_compatible(self, questions: Sequence[Question]) -> list[Question]:
        """The questions that may share a pass with the first."""
        if not questions:
            return []
        first = questions[0].owner
        if self._alone or first in self._apart:
            return [question for question in questions if question.owner == first]
        return [question for question in questions if question.owner not in self._apart]

    # -- rows -------------------------------------------------------------------------------------

    def _score_rows(self, rows: Sequence[Question], limit_s: float, unit: UnitResult) -> None:
        """Score rows of similar length, as many as the time allows."""
        alike = sorted(rows, key=lambda row: row.length)
        most_tokens = min(self.most, int(self._rate * limit_s))
        batch = alike[:1]
        while len(batch) < len(alike) and (len(batch) + 1) * alike[len(batch)].length <= most_tokens:
            batch.append(alike[len(batch)])
        questions = {id(row.item): row for row in batch}
        began = time.perf_counter()
        try:
            readings = self._forward.rate([row.item for row in batch if row.item])
        except Exception as error:
            if is_device_failure(error):
                raise
            self._handle_failure(batch, error, unit)
            return
        self._measure(sum(row.length for row in batch), time.perf_counter() - began)
        unit.answers |= {questions[id(item)]: reading for item, reading in readings}

    def _measure(self, tokens: int, took_s: float) -> None:
        rate = tokens / max(took_s, 1e-6)
        self._rate += SMOOTH * (rate - self._rate)

    def _begin_rows(self, rows: Sequence[Question]) -> None:
        """Start to read token trees of rows."""
        questions = {id(row.item): row for row in rows}
        most_tokens = min(self.most, int(self._rate * SCORED_S))
        items = take_sharing([row.item for row in rows if row.item is not None], most_tokens)
        self._taken = [questions[id(item)] for item in items]
        self._now = RowScoring(self._base, self._stack, self._forward.head, items)

    # -- generation -------------------------------------------------------------------------------

    def _begin(self, compatible: Sequence[Question]) -> None:
        """Start a generation.

        The longest completions come first: each batch is full, and has few rows left only for its longest.
        Prompts that are timed come last, one at a time.
        """
        if not compatible:
            return
        shared = [question for question in compatible if not question.alone]
        ordered = sorted(shared or compatible[:1], key=lambda question: (-question.tokens, question.length))
        count, read = 1, ordered[0].length
        while count < min(len(ordered), ROWS):
            read = max(read, ordered[count].length)
            if (count + 1) * (read + ordered[0].tokens) > self.most:
                break
            count += 1
        batch = ordered[:count]
        prompts = [question.prompt for question in batch if question.prompt is not None]
        self._now = Generation(self._base, self._stack, self._forward.head, prompts, bool(self._trees))
        questions = {id(question.prompt): question for question in batch}
        self._taken = [questions[id(prompt)] for prompt in self._now.prompts]

    # -- both -------------------------------------------------------------------------------------

    def _go_on(self, now: Generation | RowScoring, limit_s: float, unit: UnitResult) -> None:
        batch, began = self._taken, time.perf_counter()
        read = now.tokens if isinstance(now, RowScoring) else 0
        try:
            done = now.run_until(began + limit_s, self._rate)
        except Exception as error:
            if is_device_failure(error):
                raise
            self.cancel()
            self._handle_failure(batch, error, unit)
            return
        if isinstance(now, RowScoring):
            self._measure(now.tokens - read, time.perf_counter() - began)
            readings = {question: now.reading(row) for row, question in enumerate(batch)}
            unit.answers |= {
                question: reading for question, reading in readings.items() if reading is not None
            }
        elif done:
            unit.answers |= dict(zip(batch, now.answers(), strict=True))
        if done:
            self.cancel()

    def _handle_failure(self, batch: Sequence[Question], error: Exception, unit: UnitResult) -> None:
        """On out of memory take fewer questions at once; else ask each owner alone; else the error is its
        owner's."""
        free(self._base.device)
        if is_out_of_memory(error) and len(batch) > 1:
            longest = max(question.length + question.tokens for question in batch)
            self.most = max(1, len(batch) * longest // 2)
            return
        owners = {question.owner for question in batch}
        if len(owners) > 1:
            self._apart |= owners
        else:
            unit.errors[owners.pop()] = error.with_traceback(None)
