"""Messages from workers: each is handled once, applied, and acknowledged when it is durable."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from msgspec.structs import replace

from core.contract.edits import knob_edit_checks
from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize, show_value
from core.contract.wire import console_api, worker_api
from core.daemon.event_committer import EventCommitter
from core.daemon.study.study_lifecycle import Studies
from core.daemon.workers.trial_requeue import requeue_or_prune, retry_or_fail
from core.daemon.workers.worker_pool import Send, Worker

log = logging.getLogger("trimtab.telling")


def _is_inside(folder: str, place: str) -> bool:
    """Tell whether ``place``, if it is an absolute path, lies in the trials of the study in ``folder``."""
    path = Path(place)
    return ".." not in path.parts and (not path.is_absolute() or path.is_relative_to(Path(folder) / "trials"))


def _find_fault(event: e.TrialEdited) -> str:
    """Return the fault of the first knob with an invalid value from a worker; empty if all are valid."""
    for name, (_, value) in event.changes.items():
        fault = knob_edit_checks.explain_refusal(name, value)
        if fault:
            return f"{show_value(name)} = {show_value(value)} {fault}"
    return ""


class WorkerInbox:
    """Handles the workers' messages."""

    def __init__(self, committer: EventCommitter, studies: Studies) -> None:
        self._committer, self._studies = committer, studies

    def register(self, hello: worker_api.Hello, send: Send) -> Worker | None:
        """Register a worker's connection; None if the worker belongs to no running study."""
        runner = self._studies.runner_of(hello.study)
        study = self._committer.state.studies.get(hello.study)
        if (
            hello.protocol != console_api.PROTOCOL
            or runner is None
            or study is None
            or study.state not in s.LIVE_STUDY
        ):
            return None
        crew = self._studies.crew
        worker = crew.workers.get(hello.worker)
        if worker is not None and worker.pid != hello.pid:
            log.warning("process %d claims to be worker %s, which is another process", hello.pid, worker.name)
            return None
        if worker is None:
            if not any(trial.worker == hello.worker for trial in study.trials.values()):
                return None
            lease_s = study.settings.resources.lease_s
            last_number = self._studies.heard.get(hello.worker, 0)
            device = next(trial.device for trial in study.trials.values() if trial.worker == hello.worker)
            worker = crew.adopt(hello, Path(study.folder), lease_s, last_number)
            worker.device = device
        worker.send, worker.answers_samples = send, hello.answers_samples
        worker.heard_at = time.monotonic()
        worker.tell(worker_api.Heard(worker.heard))
        if worker.leaving:  # requested while it was not connected
            worker.tell(worker_api.Shutdown("the worker is not needed any more"))
        else:
            runner.update_worker(worker, hello.trials)
        return worker

    def receive(self, worker: Worker, message: worker_api.FromWorker) -> None:
        """Renew the worker's lease and handle its message, which is not a Hello.

        A message that the engine cannot handle ends the worker and nothing else; its trials are retried.
        """
        worker.heard_at = time.monotonic()
        try:
            self._handle_message(worker, message)
        except Exception as error:
            log.exception("worker %s sent %.2000r", worker.name, message)
            self.end_faulty(worker, f"{type(error).__name__}: {error}")

    def end_faulty(self, worker: Worker, fault: str) -> None:
        """End a worker that sent an invalid message, since its other messages cannot be trusted either."""
        why = sanitize(f"its worker {worker.name} sent an invalid message: {fault}", 300)
        self._studies.crew.give_up(worker, why)

    def _handle_message(self, worker: Worker, message: worker_api.FromWorker) -> None:
        match message:
            case worker_api.Told():
                self._handle_answer(worker, message)
            case worker_api.Beat():
                self._handle_stall(worker, message.busy_s)
            case worker_api.SamplePiece():
                self._studies.samples.take(worker, message)
            case worker_api.Broken() | worker_api.Leaving():
                self._note_exit(worker, message)

    def _note_exit(self, worker: Worker, message: worker_api.Broken | worker_api.Leaving) -> None:
        worker.leaving = True
        runner = self._studies.runner_of(worker.study)
        if runner is None:
            return
        if isinstance(message, worker_api.Broken):
            runner.forgive(worker)
            if worker.name not in runner.departures:
                runner.post(message)
        else:
            runner.departures.note(worker, sanitize(message.why, 200))

    def _handle_stall(self, worker: Worker, busy_s: float) -> None:
        """End a worker whose connection works but whose training does not progress.

        Loading the base has no time limit.
        """
        study = self._committer.state.studies[worker.study]
        limit_s = study.settings.resources.stall_s
        trains = any(
            trial.worker == worker.name and trial.state == s.RUNNING for trial in study.trials.values()
        )
        if trains and busy_s > limit_s:
            why = f"its worker {worker.name} stood still for {busy_s:.0f} s (resources.stall_s = {limit_s:g})"
            self._studies.crew.give_up(worker, why)

    def _handle_answer(self, worker: Worker, message: worker_api.Told) -> None:
        if message.number <= worker.heard:
            return  # resent after a reconnection
        worker.heard = message.number
        own_events = (
            (self._rename_sender(worker, message.event),) if self._is_its_own(worker, message.event) else ()
        )
        events = tuple(self._amend_event(event) for event in own_events)
        if isinstance(message.event, e.TrialEdited) and (wrong := _find_fault(message.event)):
            raise ValueError(wrong)
        if not message.event.journaled:
            durable = self._committer.put(*self._select_events(worker, *events))
            # Not before: Heard(5) says that 4 is durable too, and 4 may be waiting for the disk.
            durable.add_done_callback(lambda future: self._handle_samples(worker, message.number, future))
            return
        marker = events or (
            e.Preparing(at=message.event.at, study=worker.study, worker=worker.name, stage=""),
        )
        durable = self._committer.put(*marker, heard={worker.name: message.number})
        durable.add_done_callback(lambda future: self._confirm_durable(worker, message.number, future))

    def _amend_event(self, event: e.Event) -> e.Event:
        """Return the event with the engine's decision: a failed trial may be retried, and a trial that left
        may be requeued or pruned."""
        study = self._committer.state.studies[event.study]
        if isinstance(event, e.TrialRequeued):
            return requeue_or_prune(study, event, self._studies.why_pruned(study.name, event.trial))
        if not isinstance(event, e.TrialFailed):
            return event
        return retry_or_fail(study, event, study.settings.resources.retries)

    def _select_events(self, worker: Worker, *events: e.Event) -> list[e.Event]:
        """Return live readings under the engine's names; none of a lost worker, because nothing would remove
        them again."""
        if worker.name not in self._studies.crew.workers:
            return []
        runner, study = self._studies.runner_of(worker.study), self._committer.state.studies[worker.study]
        if runner is None:
            return list(events)
        return [
            runner.weighing.learn(study, event) if isinstance(event, e.PackMeasured) else event
            for event in events
        ]

    def _rename_sender(self, worker: Worker, event: e.Event) -> e.Event:
        """Return the event with the engine's names for the worker and its device."""
        if isinstance(event, e.Preparing):
            return replace(event, worker=worker.name)
        if not isinstance(event, e.PackMeasured | e.MemoryShort):
            return event
        return replace(event, worker=worker.name, device=worker.device)

    def _handle_samples(self, worker: Worker, number: int, future: asyncio.Future[list[str]]) -> None:
        if not future.cancelled() and not future.exception():
            worker.tell(worker_api.Heard(number))

    def _confirm_durable(self, worker: Worker, number: int, future: asyncio.Future[list[str]]) -> None:
        if not future.cancelled() and not future.exception():
            self._studies.heard[worker.name] = number
            worker.tell(worker_api.Heard(number))

    def _is_its_own(self, worker: Worker, event: e.Event) -> bool:
        """Tell whether the event is about the worker's own study and trials.

        A worker that was declared lost must not change a trial that runs elsewhere now.
        """
        if event.study != worker.study or not event.from_worker:
            log.warning(
                "worker %s sent an event of %s in %s",
                worker.name,
                type(event).__name__,
                show_value(event.study),
            )
            return False
        place = getattr(event, "adapter", "") or getattr(event, "path", "")
        if place and not _is_inside(self._committer.state.studies[event.study].folder, place):
            log.warning("worker %s sent a path outside its study: %s", worker.name, sanitize(place, 200))
            return False
        if isinstance(event, e.TrialEvent):
            trial = self._committer.state.studies[event.study].trials.get(event.trial)
            return trial is not None and trial.worker == worker.name
        return True
