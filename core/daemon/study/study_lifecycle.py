"""The engine's studies: started on request, continued after a restart, steered by requests."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Iterable
from pathlib import Path

from core import paths
from core.contract.events import event_types as e
from core.contract.spec.spec_file import parse, write
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.daemon.answers.limit_enforcement import Breaches
from core.daemon.event_committer import EventCommitter
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.placement.study_devices import Devices
from core.daemon.population.exploit import PopulationExploits
from core.daemon.recorded_shell_variables import Environments
from core.daemon.study import request_checks, study_folders
from core.daemon.study.pause_prune_requests import TrialRequests
from core.daemon.study.question_requests import QuestionRequests
from core.daemon.study.request_checks import Handler
from core.daemon.study.search_protocol import SearchFactory, open_search
from core.daemon.study.steering_requests import SteeringRequests
from core.daemon.study.study_input_hashes import InputNotes
from core.daemon.study.study_runner import WORKER_MODULE, Runner
from core.daemon.workers.sample_relay import SampleRelay
from core.daemon.workers.worker_pool import Worker, WorkerPool
from core.daemon.workers.worker_shutdowns import Lost
from core.errors import RefusedError, TrimtabError, join_in_line
from core.evaluate.prompts.unprovable_limits_check import refuse_unprovable
from core.memory.base.untrainable_precision_check import refuse_untrainable
from core.memory.records.best_pack_size_records import PackRecords
from core.memory.records.estimate_corrections import EstimateCorrections
from core.store import run_folder

log = logging.getLogger("trimtab.studies")


class Studies:
    """The runners of all studies, and the requests about them."""

    def __init__(
        self,
        committer: EventCommitter,
        socket: Path,
        search: SearchFactory = open_search,
        worker_module: str = WORKER_MODULE,
    ) -> None:
        self._committer = committer
        self._search, self._module = search, worker_module
        self._environments, self._inputs = Environments(), InputNotes()
        self._devices = Devices(committer)
        self.crew = WorkerPool(socket, self._note_worker_loss, self._environments.of)
        self._ledger = EstimateCorrections(paths.home() / "memory.json")
        self._sharing = PackRecords(paths.home() / "sharing.json")
        self._runners: dict[str, Runner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_start = asyncio.Lock()  # two consoles may start the same study at once
        self.heard: dict[str, int] = {}  # last durable message by worker, from the journals
        self._whys: dict[tuple[str, int], str] = {}  # why trials are being pruned, until their workers know
        self.samples = SampleRelay(self.crew)
        committer.watchers.append(self._watch)
        self._breaches = Breaches(committer, self.handle)
        self._succession = PopulationExploits(committer, self.handle)
        environment = self._environments.of
        self._questions = QuestionRequests(
            committer, self.runner_of, self.foresight, self.samples, environment
        )
        self._handlers: dict[type, Handler] = {
            console_api.StartStudy: self._start_once,
            console_api.StopStudy: self._stop,
            console_api.PauseStudy: self._pause_all,
            console_api.ResumeStudy: self._resume_all,
            **TrialRequests(committer, self.crew).handlers,
            **SteeringRequests(committer, self.crew, self.runner_of, self._reopen, self.foresight).handlers,
            **self._questions.handlers,
        }

    @property
    def state(self) -> s.State:
        """The present state."""
        return self._committer.state

    def why_pruned(self, study: str, trial: int) -> str:
        """Return why a trial is being pruned."""
        return self._whys.get((study, trial), "requested before")

    def alive(self) -> bool:
        """Tell whether any study runs."""
        return any(study.state in s.LIVE_STUDY for study in self.state.studies.values())

    def keep_spare(self) -> None:
        """Keep a spare worker ready. Raises TrimtabError if there is no device for it."""
        self.crew.keep_spare(self._devices.first(self._environments.of("")))

    # -- taking up ---------------------------------------------------------------------------------

    def load(self) -> None:
        """Read every study's journal into the state. Blocking; called before the engine serves."""
        study_folders.load(self._committer, self.heard, self._remember)

    def resume(self) -> None:
        """Continue the studies that ran when the engine ended."""
        for study in self.state.studies.values():
            if study.state in s.LIVE_STUDY:
                try:
                    self._breaches.take_up(study)
                    spec, folder = parse(study.spec, study.folder), Path(study.folder)
                    run_folder.settle_spec(
                        folder, write(spec)
                    )  # it may have been changed just before the end
                    self._note_texts(study.name, self._environments.take_up(study.name, folder))
                    self._run(spec, folder)
                    self._succession.take_up(study)
                except Exception as error:  # of this study alone
                    log.exception("study %s cannot be resumed", study.name)
                    self._fail(study.name, _describe_error(error))

    def _fail(self, study: str, reason: str) -> None:
        """End a study that cannot continue in this engine."""
        why = sanitize(reason, 300)
        self._committer.put(e.StudyEnded(at=time.time(), study=study, outcome="failed", why=why))

    def _run(self, spec: StudySpec, folder: Path) -> None:
        environment = self._environments.of(spec.study.name)
        devices = self._devices.of(spec, environment)
        self._note_texts(spec.study.name, [self._devices.note(spec, devices, environment)], "warning")
        self._inputs.begin(spec, folder)
        search = self._search(spec, folder, lambda text: self._note_texts(spec.study.name, [text], "warning"))
        runner = Runner(
            self._committer, self.crew, search, spec, folder, devices, self.foresight(spec), self._module,
            lambda trial: self.why_pruned(spec.study.name, trial),
        )  # fmt: skip
        self._runners[runner.name] = runner
        if self.state.studies[runner.name].state == "stopping":
            runner.post(e.StudyStopping(at=time.time(), study=runner.name, why="requested before"))
        # Student's t is needed soon; its import would hold up the event loop for a third of a second
        asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "scipy.special")
        task = asyncio.create_task(runner.run(), name=f"study {runner.name}")
        self._tasks.add(task)
        task.add_done_callback(lambda finished: self._note_runner_end(finished, runner))

    def _note_runner_end(self, task: asyncio.Task[None], runner: Runner) -> None:
        self._tasks.discard(task)
        if self._runners.get(runner.name) is runner:
            del self._runners[runner.name]
        error = None if task.cancelled() else task.exception()
        if error is not None:  # even its error handling has failed
            log.critical("study %s", runner.name, exc_info=error)
            self._fail(runner.name, f"the engine failed: {type(error).__name__}: {error}")

    # -- requests ----------------------------------------------------------------------------------

    async def handle(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        """Carry out a request; return its answer, if any, when the result is durable. Raises TrimtabError
        with the reason of a refusal."""
        answer: console_api.Answer | None = await self._handlers[type(request)](request)
        return answer

    async def _start_once(self, request: console_api.StartStudy) -> console_api.Started:
        async with self._one_start:
            return console_api.Started(tuple(await self._start(request)))

    async def _resume_all(self, request: console_api.ResumeStudy) -> None:
        request_checks.check_may_resume_all(request_checks.find_live_study(self.state, request.study))
        await self._put(e.StudyResumed(at=time.time(), study=request.study, by=request.by))

    def foresight(self, spec: StudySpec, shell_variables: dict[str, str] | None = None) -> MemoryPlanner:
        """Return the memory planner of a study in its own environment, or in ``shell_variables``."""
        environment = (
            self._environments.merge(shell_variables)
            if shell_variables
            else self._environments.of(spec.study.name)
        )
        devices = self._devices.of(spec, environment)
        hub = paths.hub_cache(environment)
        return MemoryPlanner(
            spec, devices, lambda: self.state.machine, self._ledger, sharing=self._sharing, hub=hub
        )

    def _note_texts(self, study: str, texts: Iterable[str], level: str = "info") -> None:
        """Add notes to the study's event list."""
        for text in filter(None, texts):
            self._committer.note(study, text, level)

    async def _put(self, *events: e.Event) -> None:
        await self._committer.put_or_refuse(*events)

    async def _start(self, request: console_api.StartStudy) -> list[str]:
        spec = parse(request.spec, request.where or "study")
        if self._module == WORKER_MODULE:
            await asyncio.to_thread(request_checks.refuse_without_trainer, spec)
        name = spec.study.name
        existing = self.state.studies.get(name)
        self._environments.learn(request.environment)
        if existing is not None and not request_checks.is_begun_anew(existing, spec):
            return await self._continue_existing(existing, spec, request.environment)
        refuse_untrainable(spec, request.where or "study")
        await asyncio.to_thread(refuse_unprovable, spec, request.where or "study")
        self._devices.of(spec, self._environments.merge(request.environment))
        self.foresight(spec, request.environment).check(f"{request.where or 'study'} [resources]")
        if existing is not None:
            await self._wait_until_over(name)
        folder, refusals = await study_folders.begin(self._committer, spec, self._inputs.note, existing)
        if refusals:
            raise RefusedError.of(refusals[0], f"study {name}", "try again")
        differences = self._environments.take(name, folder, request.environment)
        self._note_texts(name, differences)
        self._run(spec, folder)
        return differences

    async def _continue_existing(
        self, existing: s.Study, spec: StudySpec, shell_variables: dict[str, str] | None
    ) -> list[str]:
        """Continue an existing study, unless it runs or is complete."""
        continuation = request_checks.find_continuation(existing, spec)
        if continuation is None:
            return []
        why, trials = continuation
        if existing.state not in ("running", "paused"):
            differences = self._environments.take(existing.name, Path(existing.folder), shell_variables)
            await self._reopen(existing, why, trials, spec)
            self._note_texts(existing.name, differences)
            return differences
        await self._put(e.StudyReopened(at=time.time(), study=existing.name, why=why, trials=trials))
        return []

    async def _reopen(self, study: s.Study, why: str, trials: int = 0, spec: StudySpec | None = None) -> None:
        """Continue a study that has ended, on the same devices and with unchanged data."""
        spec, folder = spec or parse(study.spec, study.folder), Path(study.folder)
        await self._inputs.refuse_changed(spec, folder)
        self._devices.of(spec, self._environments.of(study.name))
        await self._wait_until_over(study.name)
        await self._put(e.StudyReopened(at=time.time(), study=study.name, why=why, trials=trials))
        self._run(spec, folder)

    async def _wait_until_over(self, study: str) -> None:
        """Wait until the last runner of ``study`` has shut down its workers, so that it does not shut down
        new ones."""
        for task in [task for task in self._tasks if task.get_name() == f"study {study}"]:
            await asyncio.wait([task])

    async def _stop(self, request: console_api.StopStudy) -> None:
        study = request_checks.find_live_study(self.state, request.study)
        if study.state == "stopping":
            return
        why = f"stopped by {request.by}"
        await self._put(e.StudyStopping(at=time.time(), study=study.name, why=why))
        runner = self._runners.get(study.name)
        if runner is not None:
            await runner.stopping.begin(why)

    async def _pause_all(self, request: console_api.PauseStudy) -> None:
        request_checks.check_may_pause_all(request_checks.find_live_study(self.state, request.study))
        await self._put(e.StudyPaused(at=time.time(), study=request.study, by=request.by))
        runner = self._runners.get(request.study)
        if runner is not None:
            runner.stopping.yield_devices()

    # -- what happens ------------------------------------------------------------------------------

    def _watch(self, event: e.Event, state: s.State) -> None:
        self._remember(event)
        runner = self._runners.get(event.study)
        if runner is not None and event.wakes_runner:
            runner.post(event)

    def _remember(self, event: e.Event) -> None:
        if isinstance(event, e.StudyCreated):  # drop the data of an earlier study of this name
            self._whys = {key: why for key, why in self._whys.items() if key[0] != event.study}
        elif isinstance(event, e.PruneAsked):
            self._whys[event.study, event.trial] = event.why
        elif isinstance(event, e.TrialPruned):
            self._whys.pop((event.study, event.trial), None)

    def _note_worker_loss(self, worker: Worker, why: str) -> None:
        runner = self._runners.get(worker.study)
        if runner is not None:
            runner.post(Lost(worker, why))

    def runner_of(self, study: str) -> Runner | None:
        """Return the runner of a study that runs in this engine."""
        return self._runners.get(study)

    async def leave(self, why: str) -> None:
        """Let the workers checkpoint and exit; the studies continue with the next engine."""
        for runner in self._runners.values():
            runner.closing = True
        await self._inputs.leave()
        await self._questions.close()
        await self.crew.leave(why, within_s=20.0)
        for runner in list(self._runners.values()):
            await runner.wait_until_caught_up()
        await self._committer.wait_until_written()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _describe_error(error: Exception) -> str:
    if isinstance(error, TrimtabError) and error.problems:
        return join_in_line(error)
    return f"{type(error).__name__}: {error}"
