"""Scores snapshots and the base in the background, within a time budget.

What is pending follows one rule. A trial that is pruned, stopped or moved loses its pending snapshots (its
checkpoint has them); a pause keeps them; a complete trial keeps them. While a trial trains on, its newest
snapshot replaces one that has not started, and the running one ends with the samples it has, unless the
sampler, the pruner or a limit waits for every value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.cross_key_checks import awaits_boards
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.train.adapters.adapter_stack import Stack
from core.train.evaluation.board_probes import Boards
from core.train.evaluation.probe_runner import Life, Scored, count_asks
from core.train.evaluation.trial_scores import Scorecard
from core.train.scoring.base_model_scoring import BaseScoring
from core.train.scoring.batched_scoring import IDLE_S, UNIT_S, BatchedAnswers, UnitResult
from core.train.scoring.scoring_budget import Budget
from core.train.scoring.scoring_queue import ScoringJob, ScoringQueue, Snapshot
from core.train.step.compute_requests import BASE
from core.train.step.oom_report import is_device_failure

log = logging.getLogger("trimtab.scorings")
AT_ONCE = 16  # snapshots scored together
PAUSE_S = 0.02  # sleep while all jobs wait for another worker
REPORT_S = 0.5  # between two progress reports

After = Callable[[Callable[[], None]], None]


class BackgroundScoring:
    """Schedules the scoring of one pack. ``after_end`` runs a job once the ends of earlier trials are
    reported."""

    def __init__(
        self,
        spec: StudySpec,
        boards: Boards,
        base_scoring: BaseScoring,
        answering: BatchedAnswers,
        stack: Stack,
        after_end: After,
        budget: Budget,
    ) -> None:
        self._boards, self._base_scoring, self._answering, self._stack = (
            boards,
            base_scoring,
            answering,
            stack,
        )
        self._after_end = after_end
        self._every = awaits_boards(spec) or any(
            not objective.metric.startswith("eval/") for objective in spec.study.objectives
        )
        self._budget = budget
        self._queues: dict[int, ScoringQueue] = {}
        self._base: ScoringJob | None = None
        self._trials: Path | None = None
        self._reported_at = 0.0
        self.ready = False  # whether any trial has trained already

    @property
    def busy(self) -> bool:
        """Whether anything is left to score."""
        return bool(self._queues) or (self._base is not None and self._base.result is None)

    # -- the queue --------------------------------------------------------------------------------

    def begin_base(self, trials: Path) -> None:
        """Score the base too; once. ``trials`` is the folder that holds the trials' folders."""
        if self._base is None:
            self._trials = trials
            self._base_scoring.begin(trials)
            self._base = ScoringJob(BASE, self._base_scoring.requests())

    def enqueue(self, snapshot: Snapshot) -> None:
        """Queue ``snapshot``."""
        queue = self._queues.setdefault(snapshot.number, ScoringQueue())
        if not self._every:
            queue.queued.clear()
        queue.queued.append(snapshot)

    def bind(self, tokens: int) -> None:
        """Limit a pass to ``tokens``; 0 lifts the limit."""
        self._answering.bind(tokens)

    def list_pending(self, number: int) -> list[Snapshot]:
        """The trial's unscored snapshots, for its checkpoint."""
        queue = self._queues.get(number)
        return queue.all() if queue is not None else []

    def drop(self, number: int) -> None:
        """Cancel the scoring of a trial that left."""
        queue = self._queues.pop(number, None)
        if queue is not None and queue.now is not None:
            queue.now.close()
        if not self.busy:
            self._answering.cancel()

    def hand_over(self, other: BackgroundScoring) -> None:
        """End, and have ``other`` score what is pending, from the first question."""
        other.ready = self.ready
        snapshots = [snapshot for queue in self._queues.values() for snapshot in queue.all()]
        for number in list(self._queues):
            self.drop(number)
        if self._base is not None and self._trials is not None:
            self._base.close()
            self._base_scoring.report_progress(0, finished=True)
            other.begin_base(self._trials)
        self._answering.cancel()
        for snapshot in snapshots:
            other.enqueue(snapshot)

    # -- work -------------------------------------------------------------------------------------

    def turn(self, training: bool) -> None:
        """Do one unit of work if the budget allows it. Raises torch.AcceleratorError."""
        if not self.busy or not (self.ready or not training) or not self._budget.allows(training):
            return
        began = time.perf_counter()
        self._work(training)
        self._budget.spend(time.perf_counter() - began)

    def _work(self, training: bool) -> None:
        jobs = self._list_jobs()
        for job in jobs:
            self._guard(job, job.go_on)
        questions = [question for job in jobs for question in job.open]
        if not questions and not self._answering.at_work:
            if not training and any(job.waits for job in jobs):
                time.sleep(PAUSE_S)  # another worker scores the base: do not spin
            self._collect()
            return
        began = time.perf_counter()
        unit = self._answering.unit(questions, UNIT_S if training else IDLE_S)
        self._share_result(jobs, unit, time.perf_counter() - began)
        self._collect()
        self._report_progress()
        if self._base is not None and self._base.result is not None:
            self._base_scoring.report_progress(0, finished=True)

    def _list_jobs(self) -> list[ScoringJob]:
        """The jobs to serve now, the base first. The stack changes only between two generations."""
        if not self._answering.at_work:
            active = sum(queue.now is not None for queue in self._queues.values())
            for queue in self._queues.values():
                if queue.now is None and queue.queued and active < AT_ONCE:
                    self._begin(queue)
                    active += 1
            self._compose()
        base = [self._base] if self._base is not None and self._base.result is None else []
        return base + [queue.now for queue in self._queues.values() if queue.now is not None]

    def _begin(self, queue: ScoringQueue) -> None:
        snapshot = queue.snapshot = queue.queued.pop(0)
        life = self._run_scoring(queue, snapshot)
        queue.now = ScoringJob(snapshot.number, life, snapshot.factors)
        queue.total = count_asks(self._boards.select_probes(snapshot.writes))

    def _run_scoring(self, queue: ScoringQueue, snapshot: Snapshot) -> Life:
        def enough() -> bool:
            return bool(queue.queued) and not self._every

        scored = yield from self._boards.score(snapshot.factors, snapshot.writes, enough, snapshot.trained)
        if snapshot.last and self._boards.tasks is not None:
            progress = partial(snapshot.card.reporter.report_answers, "scoring evaluate.tasks")
            values = self._boards.base_values
            scored.join((yield from self._boards.tasks.score(snapshot.factors, values, progress)))
            snapshot.card.reporter.report_answers("", 0)
        return scored

    def _compose(self) -> None:
        active = [queue.snapshot.factors for queue in self._queues.values() if queue.now and queue.snapshot]
        stacked = [factors for group in self._stack.groups for factors in group.members]
        if set(map(id, active)) != set(map(id, stacked)):
            self._stack.compose([(factors, 1) for factors in active])

    def _share_result(self, jobs: list[ScoringJob], unit: UnitResult, took_s: float) -> None:
        """Give every job its answers and its share of the time."""
        for owner, error in unit.errors.items():
            self._report_failure(owner, error)
        each_s = took_s / max(1, len(jobs))
        for job in jobs:
            answers = {question: answer for question, answer in unit.answers.items() if question in job.open}
            if job.owner not in unit.errors:
                self._guard(job, partial(job.take, answers, each_s))

    def _guard(self, job: ScoringJob, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if is_device_failure(error):
                raise
            self._report_failure(job.owner, error)

    def _report_failure(self, owner: int, error: Exception) -> None:
        """Report a failed scoring. It is a warning and ends a trial only if the trial's objective is among
        the scores."""
        log.error("scoring of %d", owner, exc_info=error)
        if owner == BASE:
            assert self._base is not None
            self._base.result = Scored()
            self._base_scoring.give_up(error)
            return
        queue = self._queues.get(owner)
        if queue is None:
            return
        snapshot, queue.now, queue.snapshot = queue.snapshot, None, None
        assert snapshot is not None
        why = sanitize(f"{type(error).__name__}: {error}", 300)
        snapshot.card.reporter.warn(f"the scoring of step {snapshot.step} failed: {why}")
        if snapshot.last:
            self._after_end(lambda: _end_scoring(snapshot.card, snapshot.step, why))
        self._close(owner, queue)

    def _collect(self) -> None:
        """Report finished scorings."""
        for number, queue in list(self._queues.items()):
            if queue.now is None or queue.now.result is None or queue.snapshot is None:
                continue
            scored, snapshot = queue.now.result, queue.snapshot
            queue.now = queue.snapshot = None
            self._report(snapshot, partial(snapshot.take, scored))
            self._close(number, queue)

    def _report(self, snapshot: Snapshot, job: Callable[[], None]) -> None:
        if snapshot.last:
            self._after_end(job)
        else:
            job()

    def _close(self, number: int, queue: ScoringQueue) -> None:
        if not queue.queued:
            self._queues.pop(number, None)

    def _report_progress(self) -> None:
        """Report the progress of each scoring, unless it stands where it stood."""
        now = time.monotonic()
        if now - self._reported_at < REPORT_S:
            return
        self._reported_at = now
        if self._base is not None and self._base.result is None and self._base.open:
            self._base_scoring.report_progress(self._count_done(self._base), finished=False)
        for queue in self._queues.values():
            if queue.now is None or queue.snapshot is None:
                continue
            progress = queue.snapshot.step, self._count_done(queue.now)
            if progress != queue.reported:
                queue.reported = progress
                queue.snapshot.card.reporter.emit(
                    e.TrialScoring, step=progress[0], done=progress[1], total=queue.total
                )

    def _count_done(self, job: ScoringJob) -> int:
        return job.answered + self._answering.count_generated(job.owner)


def _end_scoring(card: Scorecard, step: int, why: str) -> None:
    if card.waits:
        card.reporter.emit(e.TrialFailed, error=f"the objective could not be scored: {why}", step=step)
    else:
        card.reporter.emit(e.ScoringEnded, why=why)
