"""The queue of scoring jobs: copies of adapters taken at an evaluation, scored while trials train on."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, field

from core.train.adapters.lora_factors import Factors
from core.train.evaluation.probe_runner import Scored
from core.train.evaluation.trial_scores import Scorecard
from core.train.scoring.batched_scoring import Answer, Question
from core.train.step.compute_requests import Rate, Result, ScoringRequest, TimedResult, Turn, Wait, Write

Life = Generator[ScoringRequest, TimedResult, Scored | None]


@dataclass
class Snapshot:
    """One adapter to score. ``writes``: text is generated too. ``last``: the trial's training ended with it.
    ``trained``: the numbers of the training rows that it has seen."""

    number: int
    factors: Factors
    card: Scorecard
    step: int
    elapsed_s: float
    writes: bool
    last: bool
    trained: Collection[int] | None = None

    def take(self, scored: Scored) -> None:
        """Record and report the scores."""
        self.card.take(scored, self.step, self.elapsed_s, self.last)


class ScoringJob:
    """Drives one scoring: turns its requests into questions and sends back the answers. ``owner`` is a
    trial's number, or BASE."""

    def __init__(self, owner: int, life: Life, factors: Factors | None = None) -> None:
        self.owner, self.factors, self._life = owner, factors, life
        self.open: list[Question] = []
        self.answered = 0
        self.result: Scored | None = None
        self._request: ScoringRequest | None = None
        self._parts: list[list[Question]] = []
        self._answers: dict[Question, Answer] = {}
        self._took_s = 0.0

    @property
    def waits(self) -> bool:
        """Whether it waits for another worker."""
        return isinstance(self._request, Wait)

    def go_on(self) -> None:
        """Start, or check again whether the wait is over. Raises what the scoring raises."""
        if self._request is None:
            self._send(None)
        elif self.waits:
            self._send((Result(), 0.0))

    def take(self, answers: dict[Question, Answer], took_s: float) -> None:
        """Add answers to some of its questions, and its share of the time spent. Raises what the scoring
        raises."""
        if not answers and not took_s:
            return
        self._took_s += took_s
        self._answers |= answers
        self.answered += len(answers)
        self.open = [question for question in self.open if question not in answers]
        if not self.open and self._parts:
            parts = [[self._answers[question] for question in part] for part in self._parts]
            result = Result(answers=parts[0], parts=parts)
            took_s, self._took_s, self._answers, self._parts = self._took_s, 0.0, {}, []
            self._send((result, took_s))

    def close(self) -> None:
        """Cancel the scoring."""
        self._life.close()

    def _send(self, result: TimedResult | None) -> None:
        while True:
            try:
                self._request = next(self._life) if result is None else self._life.send(result)
            except StopIteration as over:
                self.result = over.value if over.value is not None else Scored()
                self._request, self.open = None, []
                return
            if isinstance(self._request, Wait):
                return
            requests = self._request.parts if isinstance(self._request, Turn) else (self._request,)
            self._parts = [_list_questions(self.owner, request) for request in requests]
            self.open = [question for part in self._parts for question in part]
            if self.open:
                return
            result = (Result(parts=[[] for _ in self._parts]), 0.0)  # no questions


def _list_questions(owner: int, request: Rate | Write) -> list[Question]:
    if isinstance(request, Write):
        return [Question(owner, prompt=prompt) for prompt in request.prompts]
    return [Question(owner, item=item) for item in request.items]


@dataclass
class ScoringQueue:
    """The snapshots of one trial: the one being scored and those queued."""

    now: ScoringJob | None = None
    snapshot: Snapshot | None = None  # the one that ``now`` scores
    total: int = 0  # upper bound of the answers needed
    queued: list[Snapshot] = field(default_factory=list)
    reported: tuple[int, int] | None = None  # step and answers of the latest report

    def all(self) -> list[Snapshot]:
        """All snapshots that are not scored yet."""
        return [*([self.snapshot] if self.snapshot else []), *self.queued]
