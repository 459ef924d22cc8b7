"""Drive one study: ask the search for trials, assign them to workers, prune, report results, and end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec import study_spec
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.wire import worker_api
from core.daemon.event_committer import EventCommitter
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.placement.slot_assignment import TrialSlots
from core.daemon.placement.study_device_choice import Slot, find_fault
from core.daemon.study import late_scores
from core.daemon.study.late_scores import LateScores
from core.daemon.study.search_protocol import SearchPort
from core.daemon.study.study_shutdown import StudyStopping
from core.daemon.study.trial_endings import explain_ending
from core.daemon.study.trial_memory_admission import Admission
from core.daemon.study.trial_proposals import SearchConversation
from core.daemon.workers.lost_workers import LostWorkers
from core.daemon.workers.worker_hello_messages import list_assignment_messages, list_pending_messages
from core.daemon.workers.worker_pool import Worker, WorkerPool
from core.daemon.workers.worker_shutdowns import Lost, WorkerShutdowns
from core.errors import TrimtabError

log = logging.getLogger("trimtab.runner")

TICK_S = 1.0
WORKER_MODULE = "core.train.commands.worker"
Message = e.Event | Lost | worker_api.Broken


class Runner:
    """The task of one study. It changes the state only through the committer."""

    def __init__(
        self,
        committer: EventCommitter,
        crew: WorkerPool,
        search: SearchPort,
        spec: StudySpec,
        folder: Path,
        devices: Sequence[Slot],
        foresight: MemoryPlanner,
        worker_module: str = WORKER_MODULE,
        why_pruned: Callable[[int], str] = lambda trial: "requested before",
    ) -> None:
        self.name = spec.study.name
        self._committer, self._crew, self._search = committer, crew, search
        self._spec, self._folder = spec, folder
        self._places = TrialSlots(spec.resources.pack, devices, foresight)
        self.weighing = Admission(foresight, self._places, search, committer.put)
        self._module, self._why_pruned = worker_module, why_pruned
        self.departures = WorkerShutdowns()
        self._inbox: asyncio.PriorityQueue[tuple[bool, int, Message]] = asyncio.PriorityQueue()
        self._posted = 0
        self.proposing = SearchConversation(spec, search, self.weighing, committer.put, lambda: self.study)
        self.stopping = StudyStopping(crew, self.departures, committer.put, lambda: self.study)
        self._afterwards = LateScores(crew, self.departures, folder, spec.resources.retries,
                                      committer.put, self._start_worker)  # fmt: skip
        self._lost = LostWorkers(
            crew, self.departures, folder, committer.put, lambda: self.study, why_pruned, self.stopping.fail,
            lambda: self.closing,
        )  # fmt: skip
        # closing: no new work, the engine exits; ended: the inbox is no longer read
        self.closing = self.ended = False

    @property
    def study(self) -> s.Study:
        """The study's present state."""
        return self._committer.state.studies[self.name]

    async def put(self, *events: e.Event) -> list[str]:
        """Send events to the committer; return the reasons of those refused."""
        return await self._committer.put(*events)

    def post(self, message: Message) -> None:
        """Queue ``message`` for the runner; messages that need no Optuna do not wait for its storage."""
        self._posted += 1
        waits = isinstance(message, e.Event) and not isinstance(message, e.PackMeasured)
        self._inbox.put_nowait((waits, self._posted, message))

    async def wait_until_caught_up(self) -> None:
        """Wait until all queued messages are handled."""
        reading = asyncio.ensure_future(self._inbox.join())
        while not (self.ended or reading.done()):
            await asyncio.sleep(0.02)
        reading.cancel()

    # -- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Return drive the study until it has ended or the task is cancelled."""
        try:
            await self._run_until_ended()
        except TrimtabError as error:
            await self.stopping.fail("; ".join(problem.what for problem in error.problems), str(error))
        except Exception as error:
            log.exception("study %s", self.name)
            await self.stopping.fail(
                f"the engine failed: {type(error).__name__}: {error}", traceback.format_exc()
            )
        finally:
            self.ended = True
            for worker in self._crew.of(self.name):
                worker.leaving = True
                worker.tell(worker_api.Shutdown(f"study {self.name} ended"))
            await self._search.close()

    async def _run_until_ended(self) -> None:
        early = None if self._crew.of(self.name) else self.weighing.early(self.study, self._spec.train)
        if early is not None:  # the worker loads while Optuna's storage is opened
            self._start_worker(early)
        await self.proposing.open()
        await self._fill()
        while self.study.state in s.LIVE_STUDY:
            message = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):  # Python 3.11's wait_for may swallow a cancellation
                    message = (await self._inbox.get())[-1]
            if message is not None:
                await self._handle(message)
                self._inbox.task_done()
            await self._check_deadlines()
            await self._fill()
        await self._read_all()

    async def _read_all(self) -> None:
        while not self._inbox.empty():
            await self._handle(self._inbox.get_nowait()[-1])
            self._inbox.task_done()

    async def _handle(self, message: Message) -> None:
        match message:
            case e.TrialEvaluated() | e.TrialScored() if not self.closing:
                await self._judge(message)
                if isinstance(message, e.TrialScored):
                    await self.proposing.tell_end(message)
            case (
                e.ScoringEnded()
                | e.TrialCompleted()
                | e.TrialPruned()
                | e.TrialFailed()
                | e.TrialInfeasible()
            ):
                await self.proposing.tell_end(message)
            case e.PackMeasured():
                self._places.add_measurement(message, self.study)
                await self.weighing.note_memory(self.study, message)
            case e.MemoryShort():
                self.weighing.short(self.study, message)
            case e.StudyStopping():
                await self.stopping.begin(message.why)
            case e.StudyChanged():
                await self._change(study_spec.from_raw(message.spec))
                await self.proposing.tell_rated()
            case e.RatingGiven():
                await self.proposing.tell_rated()
            case Lost():
                await self._requeue(message.worker, message.why)
            case worker_api.Broken() if self.study.state in s.LIVE_STUDY:
                await self.stopping.fail(
                    message.what, f"{message.where}\n{message.fix}\n{message.traceback}", message
                )

    async def _judge(self, event: e.TrialEvaluated | e.TrialScored) -> None:
        reason = await self.proposing.report(event)
        trial = self.study.trials[event.trial]
        if not reason or trial.state not in s.ON_WORKER or trial.asked == "prune":
            return
        await self.put(
            e.PruneAsked(at=time.time(), study=self.name, trial=event.trial, by="the pruner", why=reason)
        )
        self._send(trial, worker_api.Prune(event.trial, reason))

    def _send(self, trial: s.Trial, message: worker_api.ToWorker) -> None:
        if trial.worker in self._crew.workers:
            self._crew.workers[trial.worker].tell(message)

    # -- starting trials --------------------------------------------------------------------------

    def _on_workers(self) -> list[s.Trial]:
        return [trial for trial in self.study.trials.values() if trial.state in s.ON_WORKER]

    async def _fill(self) -> None:
        """Fill free slots with queued trials, then new ones; end the study when there are none."""
        await self._check_enough()
        while self.study.state == "running" and not self.closing:
            if self._is_memory_held():
                break  # their memory is not free yet
            await self.weighing.notes(self.name)
            assignment = self._places.next(self.study)
            if assignment is not None:
                await self._start_trial(*assignment)
            elif not (self._places.may_ask(self.study) and await self._propose_trial()):
                break
        await self.weighing.notes(self.name)
        await self._settle_scorings()
        if self.study.state == "stopping":
            await self.stopping.prune_queued(self.study.why)
        if self.study.state == "stopping" and not self._on_workers():
            await self.put(
                e.StudyEnded(at=time.time(), study=self.name, outcome="stopped", why=self.study.why)
            )
        elif self.study.state == "running" and not (
            self.closing or self._on_workers() or self._is_more_expected()
        ):
            await self._complete()

    async def _settle_scorings(self) -> None:
        """Assign or end scorings, and report ended trials to Optuna, because nothing does so once the study
        has ended."""
        while True:
            await self._see_scorings()
            if self.study.state != "paused" and not self.closing and not self._on_workers():
                await self._read_all()
            if self.closing or self.study.state != "stopping" or not late_scores.list_pending(self.study):
                return  # else the stop came while Optuna's storage was opened

    async def _see_scorings(self) -> None:
        """End the scorings of a stopping study, whichever worker leaves meanwhile; assign those of a running
        one."""
        if self.closing:
            return
        if self.study.state == "stopping":
            await self._afterwards.end(late_scores.list_pending(self.study), self.study.why)
        elif self.study.state == "running" and not self._is_memory_held():
            await self._afterwards.see(self.study, self._places.slots, self._lost.grace_is_over)

    def _is_memory_held(self) -> bool:
        """Tell whether a worker that is leaving, or has not reconnected yet, holds memory of a device in
        use."""
        leaving = self.departures.under_way(self._crew.workers, self._places.labels)
        return leaving or self._lost.are_awaited(self._places.labels)

    def _is_more_expected(self) -> bool:
        """Tell whether a trial, from the sampler or a person, a score or a rating is still to come."""
        trials = self.study.trials.values()
        if self.proposing.awaited > 0 or any(trial.state == s.QUEUED or trial.pending for trial in trials):
            return True
        return self.proposing.waits_for_ratings()

    async def _complete(self) -> None:
        why = explain_ending(self.study, self.proposing.exhausted)
        await self.put(e.StudyEnded(at=time.time(), study=self.name, outcome="complete", why=why))

    async def _check_enough(self) -> None:
        enough = None if self.closing else self.proposing.enough()
        if enough is not None and enough.at_once:
            await self.put(e.StudyStopping(at=time.time(), study=self.name, why=enough.why))
            await self.stopping.begin(enough.why)

    async def _propose_trial(self) -> s.Trial | None:
        await self._check_enough()
        return await self.proposing.next()

    async def _change(self, spec: StudySpec) -> None:
        """Apply a changed spec to the running study."""
        self._spec = spec
        self._places.change(spec.resources.pack)
        self.weighing.foresight.change(spec)
        await self.proposing.change(spec)

    def use_devices(self, slots: Sequence[Slot], why: str) -> None:
        """Use exactly ``slots`` from now on, without waiting for the sampler: workers elsewhere write
        checkpoints of their trials, which are queued again, and leave."""
        self._places.use(slots)
        self.weighing.foresight.use(slots)
        self.stopping.give_back(self._places.labels, why)

    async def _start_trial(self, trial: s.Trial, slot: Slot, why: str) -> None:
        if self.closing:  # since the sampler was asked
            return
        workers = (worker for worker in self._crew.of(self.name) if worker.device == slot.label)
        worker = next(workers, None) or self._start_worker(slot)
        refusals = await self.put(
            e.TrialStarting(
                at=time.time(), study=self.name, trial=trial.number,
                worker=worker.name, device=slot.label, why=why,
            )
        )  # fmt: skip
        if refusals or self.study.trials[trial.number].state not in s.ON_WORKER:  # pruned at the same moment
            return
        if self.study.state == "paused":  # at the same moment
            self.stopping.yield_devices()
        if worker.name not in self._crew.workers:  # it ended meanwhile
            await self._requeue(worker, f"its worker {worker.name} ended")
            return
        if worker.send is not None:  # else its Hello brings it the trial
            worker.tell_all(list_assignment_messages(self.study.trials[trial.number], self.assignment))
            self.weighing.bind(self.study, worker)

    def _start_worker(self, slot: Slot) -> Worker:
        return self._crew.start(self.name, self._folder, slot, self._spec.resources.lease_s, self._module)

    def assignment(self, trial: s.Trial) -> worker_api.Assign:
        """Return the message that assigns the trial to a worker."""
        folder = str(self._folder / "trials" / str(trial.number))
        paused = trial.asked == "pause" or (trial.state == s.PAUSED and trial.asked != "resume")
        return worker_api.Assign(
            trial.number, trial.knobs, folder, trial.checkpoint, paused, trial.retry, trial.parent
        )

    # -- workers ----------------------------------------------------------------------------------

    def update_worker(self, worker: Worker, holds: Sequence[int]) -> None:
        """Bring a worker that said Hello up to date: its trials, and requests made meanwhile."""
        if self.study.state == "paused":  # before the engine was away
            self.stopping.yield_devices()
            return
        if worker.device not in self._places.labels:  # so was its device given back
            self.stopping.give_back(self._places.labels, f"{worker.device} was given back")
            return
        self.tell_triggers(worker)
        worker.tell_all(
            list_pending_messages(self.study, worker.name, holds, self.assignment, self._why_pruned)
        )
        self._afterwards.update_worker(self.study, worker)
        self.weighing.bind(self.study, worker)

    def tell_triggers(self, worker: Worker) -> None:
        """Send a worker the present triggers, which may have changed since it read the study."""
        section = self.study.settings.evaluate
        if section.boards:
            worker.tell(worker_api.AskTriggers(section.triggers))

    def forgive(self, worker: Worker) -> None:
        """Stop using the device of a worker that lost its GPU, without blaming the trials; the others
        continue, unless there is no device left."""
        fault = find_fault(worker.device, self._committer.state.machine.devices)
        if fault and self._places.without(worker.device, fault):
            self.departures.note(worker, f"{worker.device} is gone: {fault}")

    async def _requeue(self, worker: Worker, why: str) -> None:
        self.forgive(worker)
        await self._lost.requeue(worker, why)

    async def _check_deadlines(self) -> None:
        await self._lost.requeue_absent()
        self.departures.hurry()
        self.stopping.hurry()
