"""Passes people's prompts on to workers, and the answers back in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import worker_api
from core.contract.wire.sample_messages import BASE, AskSample, SampleText
from core.daemon.workers.worker_pool import Worker, WorkerPool
from core.errors import RefusedError

WAIT_S = 10.0  # for a next piece; then the answer is what there is, and the console asks on
CHECK_S = 1.0  # between two looks whether the worker still exists
MOST = 64  # answers that are kept; the oldest is cancelled


@dataclass
class _Ticket:
    """An answer under way."""

    worker: Worker
    piece: worker_api.SamplePiece
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class SampleRelay:
    """The answers under way, by ticket. Nothing of them is journaled."""

    def __init__(self, crew: WorkerPool) -> None:
        self._crew = crew
        self._tickets: dict[str, _Ticket] = {}

    def list_able(self, study: s.Study, base: bool = False) -> list[int]:
        """List the trials that can answer now, and the base if it is asked for and can."""
        able = [trial.number for trial in study.trials.values() if self._find_worker(study, trial)]
        return [*able, BASE] if base and self._find_worker(study, None) else able

    def begin(self, study: s.Study, request: AskSample) -> SampleText:
        """Send the prompt to a worker that can answer. Raises RefusedError with what to do instead."""
        trial = study.trials.get(request.trial)
        worker = self._find_worker(study, trial)
        if worker is None:
            raise self._explain(study, trial)
        ticket = secrets.token_hex(8)
        while len(self._tickets) >= MOST:
            self.cancel(next(iter(self._tickets)))
        self._tickets[ticket] = _Ticket(worker, worker_api.SamplePiece(ticket))
        folder, knobs, step = "", {}, 0
        if trial is not None:
            knobs, step = trial.knobs, trial.step
            folder = "" if _is_held(trial) else str(Path(study.folder) / "trials" / str(trial.number))
        worker.tell(
            worker_api.Sample(
                ticket, request.trial, request.prompt, request.max_tokens, request.temperature,
                request.seed, folder, knobs, step,
            )
        )  # fmt: skip
        return SampleText(ticket)

    async def follow(self, ticket: str, known: int) -> SampleText:
        """Return the answer so far, as soon as it has more than ``known`` tokens or is done. Raises
        RefusedError for one that is no longer known, or whose worker is gone."""
        under_way = self._tickets.get(ticket)
        if under_way is None:
            raise RefusedError.of("this answer is no longer known", "sample", "ask again")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_S
        while not under_way.piece.done and under_way.piece.tokens <= known and loop.time() < deadline:
            if under_way.worker.name not in self._crew.workers:
                self._tickets.pop(ticket, None)
                raise RefusedError.of("its worker ended before the answer did", "sample", "ask again")
            under_way.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(under_way.changed.wait(), CHECK_S)
        piece = under_way.piece
        if piece.done:
            self._tickets.pop(ticket, None)
        why = sanitize(piece.why, 300)
        return SampleText(ticket, piece.text, piece.tokens, piece.step, piece.done, why, piece.prompt)

    def cancel(self, ticket: str) -> None:
        """Let the worker generate no more of an answer; who follows it is told."""
        under_way = self._tickets.pop(ticket, None)
        if under_way is not None and not under_way.piece.done:
            under_way.worker.tell(worker_api.CancelSample(ticket))
            self._note(under_way, worker_api.SamplePiece(ticket, done=True, why="cancelled"))

    def take(self, worker: Worker, piece: worker_api.SamplePiece) -> None:
        """Note what a worker says; of an answer that is not followed, nothing."""
        ticket = self._tickets.get(piece.ticket)
        if ticket is not None and ticket.worker.name == worker.name and not ticket.piece.done:
            self._note(ticket, piece)

    @staticmethod
    def _note(ticket: _Ticket, piece: worker_api.SamplePiece) -> None:
        ticket.piece = piece
        ticket.changed.set()

    def _find_worker(self, study: s.Study, trial: s.Trial | None) -> Worker | None:
        """Return the worker that trains the trial, else any of the study's for the base (None) and for saved
        adapters; None if none can answer."""
        if trial is not None and not _is_held(trial) and not trial.adapter:
            return None
        able = (worker for worker in self._list_connected(study) if worker.answers_samples)
        if trial is not None and _is_held(trial):
            able = (worker for worker in able if worker.name == trial.worker)
        return next(able, None)

    def _list_connected(self, study: s.Study) -> list[Worker]:
        return [worker for worker in self._crew.of(study.name) if worker.send is not None]

    def _explain(self, study: s.Study, trial: s.Trial | None) -> RefusedError:
        """Say why a trial, or the base, cannot answer, and what to do."""
        where = f"study {study.name}"
        if trial is not None and not _is_held(trial) and not trial.adapter:
            if trial.state in s.ENDED:
                problem = f"trial {trial.number} is {trial.state} and has no saved adapter"
                return RefusedError.of(problem, where, "ask a trial that trains or is complete")
            problem = f"trial {trial.number} is {trial.state} and has no adapter yet"
            return RefusedError.of(problem, where, "ask again when it trains")
        if self._list_connected(study):
            problem = "its worker is of an earlier version"
            return RefusedError.of(problem, where, "pause and resume the study, which starts a new worker")
        fix = "ask while the study runs"
        if trial is not None and trial.adapter:
            fix += f", or use `trimtab generate --study {study.name} --trial {trial.number} PROMPT`"
        return RefusedError.of("no worker holds the base model now", where, fix)


def _is_held(trial: s.Trial) -> bool:
    """Tell whether a worker holds the trial's adapter."""
    return trial.state in s.ON_WORKER and trial.has_begun
