"""A pack: the trials that share one frozen base and train together, round by round."""

from __future__ import annotations

import time

from core.contract.events import event_types as e
from core.contract.spec.study_spec import StudySpec
from core.contract.wire import worker_api
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.pack import pack_assembly
from core.train.pack.oom_eviction import HOST, OomRecovery
from core.train.pack.round_driver import RoundDriver
from core.train.pack.trial_removal import Departures
from core.train.pack.trial_start import TrialStarter
from core.train.reporter import Emit
from core.train.scoring.live_samples import LiveSamples, Send
from core.train.step import device_memory
from core.train.trial.trial_training import Trial


class Pack:
    """Trains trials together. They join and leave between rounds; a failure ends only its own trial."""

    def __init__(
        self, spec: StudySpec, base: Base, data: Data, emit: Emit, send: Send = lambda piece: None
    ) -> None:
        """Build the pack; ``send`` sends the pieces of samples to the engine."""
        self.parts = parts = pack_assembly.build(spec, base, data, emit)
        self._members = parts.members
        self._departures = Departures(parts)
        self._recovery = OomRecovery(parts, self._departures)
        self._starter = TrialStarter(parts, self._recovery)
        self._driver = RoundDriver(parts, self._departures, self._recovery)
        self._samples = LiveSamples(
            spec, base, data, parts.places, parts.stack, parts.survey, parts.budget, self._find_factors, send
        )

    def __len__(self) -> int:
        return len(self._members)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its trials. Read by the link's thread."""
        return tuple(self._members)

    @property
    def trains(self) -> bool:
        """Whether any trial is not paused."""
        return self._members.trains

    @property
    def busy(self) -> bool:
        """Whether there is anything to train, score, inspect or answer."""
        return self.trains or self.parts.scoring.busy or self.parts.inspections.busy or self._samples.busy

    # -- messages ---------------------------------------------------------------------------------

    def do(self, message: worker_api.ToWorker) -> None:
        """Handle one message. A message about an absent trial, or a repeated one, has no effect."""
        match message:
            case worker_api.Assign():
                if message.trial not in self._members:
                    self._starter.start(message)
                elif message.paused != self._members[message.trial].paused:  # paused or resumed since
                    self._pause(message.trial, message.paused)
            case worker_api.Pause() | worker_api.Resume():
                self._pause(message.trial, isinstance(message, worker_api.Pause))
            case worker_api.Bound():
                self.parts.rounds.bind(message.tokens)
                self.parts.scoring.bind(message.tokens)
            case worker_api.AskTriggers():
                self.parts.scoring.change_triggers(message.triggers)
            case worker_api.Score():
                if message.trial not in self._members:
                    self.parts.scoring.score(message)
            case worker_api.Sample():
                self._samples.ask(message)
            case worker_api.CancelSample():
                self._samples.cancel(message.ticket)
            case worker_api.Unscore():
                self.parts.scoring.drop(message.trial)
            case worker_api.Prune() | worker_api.Edit() | worker_api.Keep() | worker_api.Leave():
                if message.trial in self._members:
                    self._handle_steering(message, self._members[message.trial].trial)

    def _find_factors(self, number: int) -> tuple[Factors, int] | None:
        member = self._members.get(number)
        return (member.trial.factors, member.trial.step) if member is not None else None

    def _handle_steering(
        self,
        message: worker_api.Prune | worker_api.Edit | worker_api.Keep | worker_api.Leave,
        trial: Trial,
    ) -> None:
        match message:
            case worker_api.Prune():
                self._departures.prune(trial, message.why)
            case worker_api.Edit():
                trial.edit(message)
            case worker_api.Keep():
                self.parts.keeper.keep(trial, is_requested=True)
            case worker_api.Leave():
                self._departures.requeue(trial.number, message.why)

    def _pause(self, number: int, paused: bool) -> None:
        """Pause or resume a trial. A paused trial's tensors leave the device."""
        member = self._members.get(number)
        if member is None:
            return
        if member.paused != paused:
            if not paused and not self._recovery.bring_back(number):
                return
            member.paused = paused
            if paused:
                self.parts.inspections.drop(number, begun=False)
                self.parts.keeper.keep(member.trial)
                self._recovery.stack_active()
                member.trial.to(HOST)
            device_memory.free(self.parts.base.device)
        kind = e.TrialPaused if paused else e.TrialResumed
        member.trial.reporter.emit(kind, step=member.trial.step)

    # -- work -------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Run one round of all active trials and, if the budget allows it, a piece of a sample that was asked
        for, a few rows of an inspection or a unit of scoring. Raises torch.AcceleratorError if the device
        fails: no trial is at fault, and none can continue here."""
        trains, began = self.trains, time.perf_counter()
        if trains:
            self._driver.run_round()
        trained = time.perf_counter()
        self._samples.turn(trains)
        self.parts.inspections.turn(trains)
        self.parts.scoring.turn(trains)
        if trains:
            self.parts.meter.shares.add_turn(trained - began, time.perf_counter() - trained)

    def checkpoint_all(self) -> None:
        """Checkpoint every trial; once all are on disk, inspect those that are complete."""
        for trial in self._members.trials.values():
            self.parts.keeper.keep(trial)
        self.parts.keeper.settle(patient=False)
        self.parts.inspections.finish(self._members)

    def settle(self) -> None:
        """Wait until everything queued is written and reported."""
        self.parts.keeper.settle()
