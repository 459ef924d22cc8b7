"""Starts assigned trials in a pack, or reports why they cannot start."""

from __future__ import annotations

from pathlib import Path

from core import paths
from core.contract.events import event_types as e
from core.contract.wire.worker_api import Assign
from core.train.adapters.peft_config import InfeasibleError
from core.train.pack import resume
from core.train.pack.oom_eviction import HOST, OomRecovery
from core.train.pack.pack_assembly import PackParts
from core.train.pack.pack_members import Member
from core.train.step import device_memory
from core.train.step.oom_report import is_device_failure, is_out_of_memory
from core.train.trial.trial_training import Trial


class TrialStarter:
    """Builds a trial, restores it from its checkpoint and makes it a member."""

    def __init__(self, parts: PackParts, recovery: OomRecovery) -> None:
        self._parts, self._recovery = parts, recovery

    def start(self, assign: Assign) -> None:
        """Start the trial. Raises torch.AcceleratorError if the device fails."""
        trial = self._build(assign)
        if trial is None:
            return
        trial.reporter.emit(
            e.TrialRunning, step=trial.step, total_steps=trial.total_steps, trainable=trial.trainable
        )
        self._separate(trial)
        self._parts.keeper.join(trial)
        self._parts.members[trial.number] = Member(trial, assign.paused, assign.retry)
        self._parts.scoring.join(trial)
        if assign.paused:
            trial.to(HOST)
            trial.reporter.emit(e.TrialPaused, step=trial.step)

    def _build(self, assign: Assign) -> Trial | None:
        parts, reporter = self._parts, self._parts.reporter.of(assign.trial)
        try:
            paths.make_private(Path(assign.folder))
            trial = Trial(
                parts.spec, parts.base, parts.places, parts.data, assign, parts.reporter,
                parts.scoring.submit, parts.inspections.submit,
            )  # fmt: skip
            resume.restore(trial, assign)
            return trial
        except InfeasibleError as unfit:
            reporter.emit(e.TrialInfeasible, why=str(unfit))
        except resume.Lost as lost:
            reporter.emit(e.TrialFailed, error=str(lost))
        except Exception as error:
            if is_device_failure(error):
                raise
            if not is_out_of_memory(error):
                reporter.fail(error)
                return None
            device_memory.free(parts.base.device)
            self._recovery.refuse(assign, error)
        return None

    def _separate(self, trial: Trial) -> None:
        """Give a trial that cannot share a pass its own passes, and note the reason."""
        survey = self._parts.survey
        mixing = [place for place in trial.factors.layout.places if place.index in survey.astray]
        why = survey.why_alone
        if mixing and not why:
            why = f"{mixing[0].name} mixes the tokens of different rows"
        if why:
            self._parts.rounds.alone[trial.number] = why
            text = f"trial {trial.number} cannot share passes with other trials: {why}"
            self._parts.reporter.note(text)
