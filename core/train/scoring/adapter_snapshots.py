"""Adapters as they were at an evaluation, to be scored while their trials train on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from core.train.adapters.lora_factors import Factors
from core.train.evaluation.probe_scoring import Scored
from core.train.evaluation.scorecard import Scorecard
from core.train.scoring.scoring_batches import Answer, Question
from core.train.step.step_requests import Asked, Done, Rate, Turn, Wait, Write


def frozen(factors: Factors) -> Factors:
    """A copy on the same device that no step changes, without dropout."""
    found = Factors(
        factors.layout, factors.rank, factors.scale * factors.rank, 0.0, factors.seed, factors.matrix.device
    )
    found.matrix.data.copy_(factors.matrix.data)
    return found


Life = Generator[Asked, tuple[Done, float], Scored | None]


@dataclass
class Snapshot:
    """``writes``: text is generated, too. ``last``: the trial's training ends with it."""

    number: int
    factors: Factors
    card: Scorecard
    step: int
    elapsed_s: float
    writes: bool
    last: bool

    def take(self, scored: Scored) -> None:
        """Have it told what it scored."""
        self.card.take(scored, self.step, self.elapsed_s, self.last)


class Asker:
    """A life that asks, and its open questions. ``owner`` is a trial's number, or BASE."""

    def __init__(self, owner: int, life: Life, factors: Factors | None = None) -> None:
        self.owner, self.factors, self._life = owner, factors, life
        self.open: list[Question] = []
        self.answered = 0
        self.result: Scored | None = None
        self._want: Asked | None = None
        self._parts: list[list[Question]] = []
        self._found: dict[Question, Answer] = {}
        self._took_s = 0.0

    @property
    def waits(self) -> bool:
        """Does it wait for somebody else?"""
        return isinstance(self._want, Wait)

    def go_on(self) -> None:
        """Begin, or look again whether the waiting is over. Raises what the life raises."""
        if self._want is None:
            self._send(None)
        elif self.waits:
            self._send((Done(), 0.0))

    def take(self, answers: dict[Question, Answer], took_s: float) -> None:
        """Answers to some of its questions, and its share of the time they took. Raises what the life
        raises."""
        if not answers and not took_s:
            return
        self._took_s += took_s
        self._found |= answers
        self.answered += len(answers)
        self.open = [one for one in self.open if one not in answers]
        if not self.open and self._parts:
            parts = [[self._found[one] for one in part] for part in self._parts]
            done = Done(answers=parts[0], parts=parts)
            took_s, self._took_s, self._found, self._parts = self._took_s, 0.0, {}, []
            self._send((done, took_s))

    def close(self) -> None:
        """Nobody wants its result any more."""
        self._life.close()

    def _send(self, result: tuple[Done, float] | None) -> None:
        while True:
            try:
                self._want = next(self._life) if result is None else self._life.send(result)
            except StopIteration as over:
                self.result = over.value if over.value is not None else Scored()
                self._want, self.open = None, []
                return
            if isinstance(self._want, Wait):
                return
            wants = self._want.parts if isinstance(self._want, Turn) else (self._want,)
            self._parts = [_questions(self.owner, want) for want in wants]
            self.open = [one for part in self._parts for one in part]
            if self.open:
                return
            result = (Done(parts=[[] for _ in self._parts]), 0.0)  # nothing to ask


def _questions(owner: int, want: Rate | Write) -> list[Question]:
    if isinstance(want, Write):
        return [Question(owner, prompt=one, tokens=want.tokens) for one in want.prompts]
    return [Question(owner, item=one, detailed=want.detailed) for one in want.items]


@dataclass
class Line:
    """The snapshots of one trial: one that is scored now, and those that follow."""

    now: Asker | None = None
    snapshot: Snapshot | None = None  # that of ``now``
    total: int = 0  # answers that it takes at most
    queued: list[Snapshot] = field(default_factory=list)

    def all(self) -> list[Snapshot]:
        """What is not scored yet."""
        return [*([self.snapshot] if self.snapshot else []), *self.queued]
