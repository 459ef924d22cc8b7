"""Requests that steer a running study, other than pause, resume, prune and stop: trials by hand, clones,
edits, marks, an undone prune, a changed spec."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from core.contract.edits import knob_edit_checks, spec_changes
from core.contract.events import event_types as e
from core.contract.spec.spec_file import convert_to_raw, parse, write
from core.contract.spec.study_spec import StudySpec
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, worker_api
from core.contract.wire.sample_messages import BASE, RateSamples
from core.daemon.answers import blind_comparisons
from core.daemon.event_committer import EventCommitter
from core.daemon.placement import device_changes
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.placement.study_device_choice import Slot
from core.daemon.study import request_checks
from core.daemon.study.request_checks import Handler
from core.daemon.study.study_runner import Runner
from core.daemon.workers.worker_pool import WorkerPool
from core.errors import RefusedError
from core.evaluate.prompts.unprovable_limits_check import refuse_unprovable
from core.store import run_folder
from core.store.checkpoint_links import link_checkpoint

KEEP_S = 60.0  # for a worker to write the checkpoint that a clone begins from
# A trial that leaves reports its checkpoint first, if it writes one.
GONE = e.TrialCompleted | e.TrialPruned | e.TrialFailed | e.TrialInfeasible | e.TrialRequeued


class SteeringRequests:
    """Handles the requests. ``runner_of`` gives the runner of a live study; ``reopen`` continues a complete
    one; ``foresight`` finds the devices of a changed spec and plans their memory."""

    def __init__(
        self,
        committer: EventCommitter,
        crew: WorkerPool,
        runner_of: Callable[[str], Runner | None],
        reopen: Callable[[s.Study, str], Awaitable[None]],
        foresight: Callable[[StudySpec], MemoryPlanner],
    ) -> None:
        self._committer, self._crew, self._foresight = committer, crew, foresight
        self._runner_of, self._reopen = runner_of, reopen
        self._rating = asyncio.Lock()  # strengths depend on all ratings before
        self._changing = asyncio.Lock()  # a change is made to the spec that the change before left
        self.handlers: dict[type, Handler] = {
            console_api.EnqueueTrial: self._enqueue,
            console_api.CloneTrial: self._clone,
            console_api.EditTrial: self._edit,
            console_api.ReprieveTrial: self._reprieve,
            console_api.MarkTrial: self._mark,
            console_api.ChangeStudy: self._change_in_turn,
            RateSamples: self._rate,
        }
        self._awaited: dict[tuple[str, int], asyncio.Future[e.TrialCheckpointed | None]] = {}
        committer.watchers.append(self._watch)

    # -- new trials -------------------------------------------------------------------------------

    async def _enqueue(self, request: console_api.EnqueueTrial) -> console_api.Queued:
        study = request_checks.find_study(self._committer.state, request.study)
        like = request_checks.find_any_trial(study, request.like).knobs if request.like is not None else {}
        spec = study.settings
        knob_values, learnable = knob_edit_checks.check_by_hand(spec, like, request.knobs)
        runner = await self._find_runner(study, f"a trial was queued by {request.by}")
        with runner.proposing.awaiting():
            params = {name: knob_values[name] for name in spec.space if name in knob_values}
            proposal = await runner.proposing.enqueue(params if learnable else {}, learnable)
            why = "by hand" + (
                "" if learnable else ": outside the space, so the sampler does not learn from it"
            )
            if request.like is not None:
                why += f"; as trial {request.like}"
            knobs = {**spec.train, **knob_values, **proposal.params}
            queued = e.TrialQueued(
                at=time.time(), study=study.name, trial=proposal.number, by=request.by, why=why,
                counted=learnable, params=proposal.params, knobs=knobs,
            )  # fmt: skip
            await self._queue(runner, queued)
        return console_api.Queued(proposal.number)

    async def _clone(self, request: console_api.CloneTrial) -> console_api.Queued:
        study = request_checks.find_study(self._committer.state, request.study)
        parent = request_checks.find_any_trial(study, request.trial)
        best = find_best_checkpoint(study, parent) if request.best else None
        begins = best.step if best is not None else parent.step
        knob_edit_checks.check_clone(parent, request.changes, begins)  # before anything is written
        runner = await self._find_runner(study, f"trial {parent.number} was cloned by {request.by}")
        with runner.proposing.awaiting():
            checkpoint = best or await self._find_newest_checkpoint(study.name, parent)
            knobs = knob_edit_checks.check_clone(parent, request.changes, checkpoint.step)
            if request.place_of >= 0 and checkpoint.step >= parent.total_steps:
                message = (
                    f"trial {parent.number} has done its {checkpoint.step} steps: nothing is left for a clone"
                )
                raise RefusedError.of(message, f"study {study.name}", "nothing is left to do")
            proposal = await runner.proposing.enqueue({}, False)
            place = Path(study.folder) / "trials" / str(proposal.number) / Path(checkpoint.path).name
            await self._link_checkpoint(runner, proposal.number, Path(checkpoint.path), place)
            changes = ", ".join(
                f"{name} = {sanitize(str(knobs[name]), 40)}"
                for name in knobs
                if knobs[name] != parent.knobs.get(name)
            )
            why = f"clone of trial {parent.number} at step {checkpoint.step}" + (
                f" with {changes}" if changes else ""
            )
            why += f", replacing trial {request.place_of}" if request.place_of >= 0 else ""
            queued = e.TrialQueued(
                at=time.time(), study=study.name, trial=proposal.number, by=request.by, why=why,
                counted=False, params={}, knobs=knobs,
                parent=parent.number, checkpoint=str(place), step=checkpoint.step,
                place_of=request.place_of,
            )  # fmt: skip
            await self._queue(runner, queued)
        return console_api.Queued(proposal.number)

    async def _queue(self, runner: Runner, queued: e.TrialQueued) -> None:
        await self._put(queued)
        await runner.weighing.check_proposal(runner.study, queued.trial, queued.knobs)
        runner.post(queued)

    async def _link_checkpoint(self, runner: Runner, number: int, source: Path, place: Path) -> None:
        try:
            await asyncio.to_thread(link_checkpoint, source, place)
        except OSError as error:
            await runner.proposing.give_up(number)
            message = f"the checkpoint cannot be copied: {error.strerror or error}"
            raise RefusedError.of(message, str(source), "free the disk, or try again") from None

    async def _find_newest_checkpoint(self, study: str, trial: s.Trial) -> e.TrialCheckpointed:
        """Return the trial's newest checkpoint, which a running trial writes now. Raises RefusedError without
        one."""
        if trial.state in (s.RUNNING, s.PAUSED):
            return await self._take_checkpoint(study, trial.number)
        if not trial.checkpoint or not await asyncio.to_thread(Path(trial.checkpoint).is_dir):
            message = f"trial {trial.number} is {trial.state} and has no checkpoint"
            raise RefusedError.of(message, f"study {study}", "queue a new trial by hand")
        return e.TrialCheckpointed(
            at=time.time(), study=study, trial=trial.number, step=trial.checkpoint_step, path=trial.checkpoint
        )

    async def _take_checkpoint(self, study: str, number: int) -> e.TrialCheckpointed:
        key = (study, number)
        if key not in self._awaited or self._awaited[key].done():
            self._awaited[key] = asyncio.get_running_loop().create_future()
            self._tell(study, number, worker_api.Keep(number))
        try:
            checkpoint = await asyncio.wait_for(asyncio.shield(self._awaited[key]), KEEP_S)
        except TimeoutError:
            message = f"trial {number}'s worker wrote no checkpoint within {KEEP_S:.0f} s"
            raise RefusedError.of(message, f"study {study}", "look at its log: `trimtab logs`") from None
        if checkpoint is None:
            message = f"trial {number} has ended or lost its worker meanwhile"
            raise RefusedError.of(message, f"study {study}", "look at it again")
        return checkpoint

    # -- trials that are there --------------------------------------------------------------------

    async def _edit(self, request: console_api.EditTrial) -> None:
        trial = request_checks.find_live_trial(self._committer.state, request.study, request.trial)
        if trial.asked == "prune":
            raise RefusedError.of(f"trial {trial.number} is being pruned", "edit", "nothing is left to do")
        values = knob_edit_checks.check_edit(trial, request.changes)
        at, names = time.time(), {"study": request.study, "trial": trial.number, "by": request.by}
        edit_event = e.EditAsked(at=at, **names, changes=values, counted=request.counted)  # type: ignore[arg-type]
        if trial.state == s.QUEUED:
            pairs = {name: (trial.knobs.get(name), value) for name, value in values.items()}
            await self._put(
                edit_event,
                e.TrialEdited(at=at, **names, step=trial.step, changes=pairs),  # type: ignore[arg-type]
            )
        else:
            await self._put(edit_event)
        self._tell(request.study, trial.number, worker_api.Edit(trial.number, values, request.by))

    async def _reprieve(self, request: console_api.ReprieveTrial) -> None:
        study = request_checks.find_study(self._committer.state, request.study)
        trial = request_checks.find_any_trial(study, request.trial)
        if trial.state != s.PRUNED:
            message = f"trial {trial.number} is {trial.state}, not pruned"
            raise RefusedError.of(message, "unprune", "only a prune can be undone")
        if trial.step:
            await self._find_newest_checkpoint(study.name, trial)
        runner = await self._find_runner(study, f"trial {trial.number}'s prune was undone by {request.by}")
        back = e.TrialReprieved(at=time.time(), study=study.name, trial=trial.number, by=request.by)
        with runner.proposing.awaiting():
            await self._put(back)
        runner.post(back)

    async def _rate(self, request: RateSamples) -> None:
        async with self._rating:
            study = request_checks.find_study(self._committer.state, request.study)
            for number in {request.left, request.right} - {BASE}:
                request_checks.find_any_trial(study, number)
            if request.left == request.right:
                problem = f"trial {request.left} cannot be compared with itself"
                raise RefusedError.of(problem, f"study {study.name}", "compare two trials")
            await self._put(await asyncio.to_thread(blind_comparisons.make_rating_event, study, request))

    async def _mark(self, request: console_api.MarkTrial) -> None:
        study = request_checks.find_study(self._committer.state, request.study)
        trial, runner = request_checks.find_any_trial(study, request.trial), self._runner_of(study.name)
        if request.device is not None or request.priority is not None:
            request_checks.find_live_trial(
                self._committer.state, request.study, request.trial
            )  # it still has to run
        if request.device:
            labels = self._list_labels(study.name)
            if request.device not in labels:
                message = f"the study has no device {sanitize(request.device, 20)!r}"
                raise RefusedError.of(message, f"study {study.name}", f"devices: {', '.join(labels)}")
        marked = e.TrialMarked(
            at=time.time(), study=study.name, trial=trial.number, by=request.by, note=request.note,
            starred=request.starred, device=request.device, priority=request.priority,
        )  # fmt: skip
        await self._put(marked)
        if request.device and self._find_present(request.study, trial.number).device not in (
            "",
            request.device,
        ):
            leave = worker_api.Leave(trial.number, f"{request.by} pinned it to {request.device}")
            self._tell(request.study, trial.number, leave)
        if runner is not None:
            runner.post(marked)

    # -- the study --------------------------------------------------------------------------------

    async def _change_in_turn(self, request: console_api.ChangeStudy) -> console_api.Change:
        async with self._changing:
            return await self._change(request)

    async def _change(self, request: console_api.ChangeStudy) -> console_api.Change:
        study = request_checks.find_live_study(self._committer.state, request.study)
        before = study.settings
        after = parse(
            spec_changes.merge_changes(convert_to_raw(before), request.changes), f"study {study.name}"
        )
        differences = spec_changes.list_differences(convert_to_raw(before), convert_to_raw(after))
        if not differences:
            raise RefusedError.of("nothing is other than it is", f"study {study.name}", "change something")
        if before.evaluate.limits != after.evaluate.limits:
            await asyncio.to_thread(refuse_unprovable, after, f"study {study.name}")
        effects, slots = spec_changes.describe_effects(study, before, after), None
        if before.resources.devices != after.resources.devices:
            slots = await self._choose_devices(study, after)
            effects += device_changes.describe(study, self._list_labels(study.name), slots)
        if not request.preview:
            event = e.StudyChanged(
                at=time.time(),
                study=study.name,
                by=request.by,
                spec=convert_to_raw(after),
                changes=differences,
            )
            await self._put(event)
            self._use_devices(study.name, slots, request.by)
            await asyncio.to_thread(run_folder.write_spec, Path(study.folder), write(after))
            self._tell_triggers(before, after, study.name)
        return console_api.Change(differences, effects)

    async def _choose_devices(self, study: s.Study, after: StudySpec) -> Sequence[Slot]:
        """Return the devices of the changed spec. Raises TrimtabError as the start of a study does: for a
        missing card, and for one whose memory the base does not fit in."""
        planner = self._foresight(after)
        await asyncio.to_thread(planner.check, f"study {study.name} [resources]")
        return planner.slots

    def _list_labels(self, study: str) -> list[str]:
        runner = self._runner_of(study)
        return [slot.label for slot in runner.weighing.foresight.slots] if runner is not None else []

    def _use_devices(self, study: str, slots: Sequence[Slot] | None, by: str) -> None:
        runner = self._runner_of(study)
        if runner is None or slots is None:
            return
        kept = {slot.label for slot in slots}
        gone = [label for label in self._list_labels(study) if label not in kept]
        runner.use_devices(slots, f"{sanitize(by, 60)} gave {', '.join(gone)} back")

    def _tell_triggers(self, before: StudySpec, after: StudySpec, study: str) -> None:
        runner = self._runner_of(study)
        if runner is not None and before.evaluate.triggers != after.evaluate.triggers:
            for worker in self._crew.of(study):
                runner.tell_triggers(worker)

    # -- ways -------------------------------------------------------------------------------------

    async def _find_runner(self, study: s.Study, why: str) -> Runner:
        """Return the study's runner; a complete study is continued. Raises RefusedError for any other."""
        if study.state == "complete":
            await self._reopen(study, why)
        elif study.state not in ("running", "paused"):
            fix = "start it again first: `trimtab run SPEC`"
            raise RefusedError.of(f"the study is {study.state}", f"study {study.name}", fix)
        runner = self._runner_of(study.name)
        if runner is None:
            raise RefusedError.of("the study does not run here", f"study {study.name}", "try again")
        return runner

    async def _put(self, *events: e.Event) -> None:
        await self._committer.put_or_refuse(*events)

    def _find_present(self, study: str, number: int) -> s.Trial:
        """Return the trial as it is now: it may have been placed while an event was written."""
        return self._committer.state.studies[study].trials[number]

    def _tell(self, study: str, number: int, message: worker_api.ToWorker) -> None:
        trial = self._find_present(study, number)
        worker = self._crew.workers.get(trial.worker) if trial.state in s.ON_WORKER else None
        if worker is not None:
            worker.tell(message)

    def _watch(self, event: e.Event, state: s.State) -> None:
        if isinstance(event, e.TrialCheckpointed | GONE):
            waiting = self._awaited.pop((event.study, event.trial), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(event if isinstance(event, e.TrialCheckpointed) else None)


def find_best_checkpoint(study: s.Study, trial: s.Trial) -> e.TrialCheckpointed:
    """Return the kept checkpoint of the trial's best evaluation. Raises RefusedError without one."""
    step = best_and_counts.find_best_kept_step(study, trial)
    folder = Path(study.folder) / "trials" / str(trial.number)
    found = [] if step is None else [*folder.glob(f"step-{step}"), *folder.glob(f"step-{step}.*")]
    kept = [path for path in found if path.is_dir() and path.suffix not in (".new", ".damaged")]
    if step is None or not kept:
        best = best_and_counts.find_best_step(study, trial)
        which = "it was not evaluated yet" if best is None else f"none of its best step {best} is kept"
        message = f"trial {trial.number} has no checkpoint of its best evaluation: {which}"
        raise RefusedError.of(message, f"study {study.name}", "clone it from its newest checkpoint")
    return e.TrialCheckpointed(
        at=time.time(), study=study.name, trial=trial.number, step=step, path=str(max(kept))
    )
