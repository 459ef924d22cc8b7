"""A pack: the trials that share one frozen base and train together, round by round."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from core import paths
from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.contract.wire import worker_api
from core.train.adapters import peft_config
from core.train.adapters.adaptable_layers import find_adaptable
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.multi_lora_linear import Gate
from core.train.adapters.reload_check import ReloadCheck
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.introspection.introspection_report import Introspector
from core.train.introspection.row_inspection import Inspection
from core.train.pack import resume
from core.train.pack.checkpointing import Checkpointer
from core.train.pack.pack_member import Member
from core.train.pack.pack_round import Outcome, Rounds, Wants
from core.train.pack.pack_scoring import PackScoring
from core.train.pack.throughput_meter import ThroughputMeter
from core.train.reporter import Emit, Reporter
from core.train.step import device_memory, out_of_memory
from core.train.step.compute_requests import Learn
from core.train.step.forward_pass import Forward
from core.train.trial.trial_training import Diverged, Trial

HOST = torch.device("cpu")


class Pack:
    """Trains trials together. They join and leave between rounds; a failure ends only its own trial."""

    def __init__(self, spec: Spec, base: Base, data: Data, emit: Emit) -> None:
        self._spec, self._base, self._data = spec, base, data
        self._reporter = reporter = Reporter(spec.study.name, emit)
        self._survey, self._places = find_adaptable(base, reporter.warn)
        self._stack = Stack(base.model.dtype, base.device)
        modules = dict(base.model.named_modules())
        for place in self._places:
            Gate(modules[place.name], place, self._stack)
        forward = Forward(base, self._stack, self._survey.head)
        self._rounds = Rounds(base, self._stack, forward)
        self._insides = Introspector(spec, base, data, Inspection(base, self._stack, forward))
        longest = max((len(row.ids) for row in data.train), default=0)
        reload = ReloadCheck(base, self._stack, data.validation[0].ids)
        self._keeper = Checkpointer(spec, base, reporter, reload)
        self._meter = ThroughputMeter(base, self._stack, longest, reporter)
        survey, keeper = self._survey, self._keeper
        self._scoring = PackScoring(spec, base, data, self._places, self._stack, survey, keeper, reporter)
        self._why_alone = ""
        self._members: dict[int, Member] = {}
        self._composed: tuple[tuple[int, bool], ...] = ()  # (number, uses dropout) of each stacked trial

    def __len__(self) -> int:
        return len(self._members)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its trials. Read by the link's thread."""
        return tuple(self._members)

    @property
    def trains(self) -> bool:
        """Whether any trial is not paused."""
        return any(not member.paused for member in self._members.values())

    @property
    def busy(self) -> bool:
        """Whether there is anything to train or score."""
        return self.trains or self._scoring.busy

    # -- messages ---------------------------------------------------------------------------------

    def do(self, message: worker_api.ToWorker) -> None:
        """Handle one message. A message about an absent trial, or a repeated one, has no effect."""
        match message:
            case worker_api.Assign():
                if message.trial not in self._members:
                    self._join(message)
                elif message.paused != self._members[message.trial].paused:  # paused or resumed since
                    self._pause(message.trial, message.paused)
            case worker_api.Pause() | worker_api.Resume():
                self._pause(message.trial, isinstance(message, worker_api.Pause))
            case worker_api.Bound():
                self._rounds.bind(message.tokens)
                self._scoring.bind(message.tokens)
            case worker_api.Score():
                if message.trial not in self._members:
                    self._scoring.score(message)
            case worker_api.Unscore():
                self._scoring.drop(message.trial)
            case worker_api.Prune() | worker_api.Edit() | worker_api.Keep() | worker_api.Leave():
                if message.trial in self._members:
                    self._steer(message, self._members[message.trial].trial)

    def _steer(
        self,
        message: worker_api.Prune | worker_api.Edit | worker_api.Keep | worker_api.Leave,
        trial: Trial,
    ) -> None:
        match message:
            case worker_api.Prune():
                self._prune(trial, message.why)
            case worker_api.Edit():
                trial.edit(message)
            case worker_api.Keep():
                self._keeper.keep(trial, asked=True)
            case worker_api.Leave():
                self._move_out(trial.number, message.why)

    def _join(self, assign: worker_api.Assign) -> None:
        number = assign.trial
        try:
            paths.private(Path(assign.folder))
            trial = Trial(
                self._spec, self._base, self._places, self._data, assign, self._reporter,
                self._scoring.submit, self._insides,
            )  # fmt: skip
            resume.restore(trial, assign)
        except peft_config.InfeasibleError as unfit:
            self._reporter.of(number).emit(e.TrialInfeasible, why=str(unfit))
            return
        except resume.Lost as lost:
            self._reporter.of(number).emit(e.TrialFailed, error=str(lost))
            return
        except torch.OutOfMemoryError as error:
            device_memory.free(self._base.device)
            self._refuse(assign, error)
            return
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self._reporter.of(number).fail(error)
            return
        self._reporter.of(number).emit(
            e.TrialRunning,
            step=trial.step,
            total_steps=trial.total_steps,
            trainable=trial.trainable,
        )
        self._admit(trial)
        self._keeper.join(trial)
        self._members[number] = Member(trial, assign.paused, assign.retry)
        self._scoring.join(trial)
        if assign.paused:
            trial.to(HOST)
            self._reporter.of(number).emit(e.TrialPaused, step=trial.step)

    def _refuse(self, assign: worker_api.Assign, error: Exception) -> None:
        """Requeue a trial whose own tensors do not fit; if no other trial is here, it is infeasible."""
        if not self._members:
            why = out_of_memory.describe_misfit(self._base.device, assign.knobs, 0, error)
            return self._reporter.of(assign.trial).emit(e.TrialInfeasible, why=why)
        why = f"out of memory on {self._base.device} when it joined {len(self._members)} others"
        text = f"trial {assign.trial} was requeued: {why}"
        self._report_oom((*self._members, assign.trial), assign.trial, text)
        self._reporter.of(assign.trial).emit(e.TrialRequeued, why=why, retry=assign.retry)

    def _admit(self, trial: Trial) -> None:
        """Note a trial that cannot share a pass, with the reason."""
        lost = [place for place in trial.factors.layout.places if place.index in self._survey.astray]
        why = self._survey.why_alone
        if lost and not why:
            why = f"{lost[0].name} mixes the tokens of different rows"
        if why:
            self._why_alone = why
            self._rounds.alone.add(trial.number)
            text = f"trial {trial.number} cannot share passes with other trials: {why}"
            self._reporter.note(text)

    def _pause(self, number: int, paused: bool) -> None:
        """Pause or resume a trial. A paused trial's tensors leave the device."""
        member = self._members.get(number)
        if member is None:
            return
        if member.paused != paused:
            member.paused = paused
            if paused:
                self._keeper.keep(member.trial)
            self._compose()
            member.trial.to(HOST if paused else self._base.device)
            device_memory.free(self._base.device)
        self._reporter.of(number).emit(e.TrialPaused if paused else e.TrialResumed, step=member.trial.step)

    def _prune(self, trial: Trial, why: str) -> None:
        """Prune a trial, and checkpoint it first, since the prune may be undone."""
        if not self._members[trial.number].paused and trial.is_trained(why):
            return
        number, step = trial.number, trial.step
        self._keeper.keep(trial)
        self._drop(number)
        self._keeper.after(lambda: self._reporter.of(number).emit(e.TrialPruned, step=step, why=why))

    # -- work -------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Run one round of all active trials and, if the budget allows it, a unit of scoring. Raises
        torch.AcceleratorError if the device fails: no trial is at fault, and none can continue here."""
        trains = self.trains
        if trains:
            self._round()
        self._scoring.turn(trains)

    def _round(self) -> None:
        self._compose()
        active = {number: self._members[number] for number, _ in self._composed}
        wants = {trial: (member.trial, member.want) for trial, member in active.items()}
        outcome = self._rounds.do(wants)
        updated = [trial for trial, (_, want) in wants.items() if isinstance(want, Learn) and want.update]
        self._scoring.ready = self._scoring.ready or any(trial in outcome.done for trial in updated)
        self._measure(wants, outcome)
        self._advance_all(active, outcome)
        paused = [number for number, member in self._members.items() if member.paused]
        self._keeper.due([member.trial for member in self._members.values()], paused)

    def _measure(self, wants: Wants, outcome: Outcome) -> None:
        learning = [want for _, want in wants.values() if isinstance(want, Learn)]
        if outcome.errors or len(learning) < len(wants):
            return
        held = {trial: member.trial for trial, member in self._members.items()}
        rows = [item.row for want in learning for item in want.items]
        separate = len(self._rounds.alone) > 1
        why = self._why_alone if separate else ""
        self._meter.round(tuple(wants), held, rows, outcome.busy_s, outcome.widest, why)

    def _advance(self, member: Member, outcome: Outcome) -> None:
        """Send the trial the result of its request. Raises the error that ends it."""
        why = member.take(outcome)
        if member.trial.edited:  # an older checkpoint must not be resumed with the new knobs
            member.trial.edited = False
            self._keeper.keep(member.trial)
        if why is not None:
            member.trial.latest.setdefault(device_memory.ALONE, self._meter.alone(member.trial))
            number, pending = member.trial.number, member.trial.pending()
            last = [snapshot.step for snapshot in pending if snapshot.last]
            self._keeper.complete(member.trial, why, last[-1] if last else -1)
            self._drop(number, scored=bool(last))

    def _compose(self) -> None:
        """Stack the active trials if they, or their use of dropout, changed."""
        trials = [member.trial for _, member in sorted(self._members.items()) if not member.paused]
        composed = tuple((trial.number, trial.factors.dropout > 0) for trial in trials)
        if composed != self._composed:
            self._composed = composed
            try:
                self._stack.compose([(trial.factors, trial.batch) for trial in trials])
            except torch.OutOfMemoryError as error:
                youngest = max((trial.number for trial in trials), key=list(self._members).index)
                self._stack.groups = []
                if len(trials) > 1:
                    self._move_out(youngest, f"out of memory on {self._base.device} while stacking")
                else:
                    self._end(youngest, self._members[youngest], error)
                device_memory.free(self._base.device)
                self._compose()

    # -- files ------------------------------------------------------------------------------------

    def checkpoint_all(self) -> None:
        """Checkpoint every trial; returns once all are on disk."""
        for member in self._members.values():
            self._keeper.keep(member.trial)
        self._keeper.settle(patient=False)

    def settle(self) -> None:
        """Wait until everything queued is written and reported."""
        self._keeper.settle()

    # -- out of memory ----------------------------------------------------------------------------

    def _advance_all(self, active: dict[int, Member], outcome: Outcome) -> None:
        """Send every trial its result. After out of memory in a shared pack, failed requests are repeated and
        the youngest trial leaves."""
        stuck = [trial for trial in active if isinstance(outcome.errors.get(trial), torch.OutOfMemoryError)]
        retried = stuck if len(active) > 1 else []
        for number, member in active.items():
            if number in retried:
                continue
            try:
                self._advance(member, outcome)
            except Exception as error:
                self._end(number, member, error)
        if outcome.shortest_oom or stuck:
            self._make_room(tuple(active), outcome, bool(retried))

    def _make_room(self, active: tuple[int, ...], outcome: Outcome, thin: bool) -> None:
        remaining = [number for number in self._members if number in active]  # the youngest last
        lost = [number for number in remaining if number in outcome.unsteady]
        device, count = self._base.device, len(active)
        if thin and len(remaining) > 1:
            moved = (lost or remaining)[-1]
            text = out_of_memory.describe_leaving(device, count, moved, youngest=not lost)
            self._move_out(moved, f"out of memory on {device} with {count} trials", moved not in lost)
        else:
            moved, short = -1, outcome.shortest_oom
            text = out_of_memory.describe_limit(device, count, self._rounds.most, short)
        self._report_oom(active, moved, text)

    def _report_oom(self, trials: tuple[int, ...], moved: int, text: str) -> None:
        out_of_memory.report(self._reporter, self._base.device, trials, moved, text)

    def _move_out(self, number: int, why: str, whole: bool = True) -> None:
        """Requeue the trial, checkpointed as it is if its state is ``whole``."""
        member = self._members[number]
        if whole:
            self._keeper.keep(member.trial)
        self._drop(number)
        self._keeper.after(
            lambda: self._reporter.of(number).emit(e.TrialRequeued, why=why, retry=member.retry)
        )
        device_memory.free(self._base.device)

    # -- ends -------------------------------------------------------------------------------------

    def _end(self, number: int, member: Member, error: Exception) -> None:
        step = member.trial.step
        self._drop(number)
        if isinstance(error, Diverged):
            self._reporter.of(number).emit(e.TrialFailed, error=str(error), step=step)
        elif isinstance(error, torch.OutOfMemoryError):
            why = out_of_memory.describe_misfit(self._base.device, member.trial.knobs, step, error)
            self._reporter.of(number).emit(e.TrialInfeasible, why=why)
        else:  # after the checkpoint that the next attempt starts from
            self._keeper.after(partial(self._reporter.of(number).fail, error, step))

    def _drop(self, number: int, scored: bool = False) -> None:
        """Remove the trial and free its tensors. Its scoring goes on only if it is complete (``scored``)."""
        self._members.pop(number, None)
        if not scored:
            self._scoring.drop(number)
        self._keeper.forget(number)
        self._rounds.alone.discard(number)
        if not self.trains:
            self._compose()
            device_memory.free(self._base.device)
