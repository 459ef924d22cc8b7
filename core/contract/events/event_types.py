"""All events that the engine journals, folds into the state and broadcasts, under one name: AnyEvent.

A new event is declared in one of the modules imported here, with all that concerns it, and added to AnyEvent;
its effect on the state is in ``core.contract.state``.
"""

from __future__ import annotations

from core.contract.events.edit_mark_events import EditAsked as EditAsked
from core.contract.events.edit_mark_events import RatingGiven as RatingGiven
from core.contract.events.edit_mark_events import StudyChanged as StudyChanged
from core.contract.events.edit_mark_events import TrialEdited as TrialEdited
from core.contract.events.edit_mark_events import TrialMarked as TrialMarked
from core.contract.events.edit_mark_events import TrialReprieved as TrialReprieved
from core.contract.events.event_base import Event as Event
from core.contract.events.event_base import TrialEvent as TrialEvent
from core.contract.events.machine_reading import Device as Device
from core.contract.events.machine_reading import Host as Host
from core.contract.events.machine_reading import MachineRead as MachineRead
from core.contract.events.machine_reading import Process as Process
from core.contract.events.machine_reading import Worker as Worker
from core.contract.events.study_events import BaseScored as BaseScored
from core.contract.events.study_events import MemoryShort as MemoryShort
from core.contract.events.study_events import PackMeasured as PackMeasured
from core.contract.events.study_events import Preparing as Preparing
from core.contract.events.study_events import StudyCreated as StudyCreated
from core.contract.events.study_events import StudyEnded as StudyEnded
from core.contract.events.study_events import StudyNoted as StudyNoted
from core.contract.events.study_events import StudyPaused as StudyPaused
from core.contract.events.study_events import StudyReopened as StudyReopened
from core.contract.events.study_events import StudyResumed as StudyResumed
from core.contract.events.study_events import StudyStopping as StudyStopping
from core.contract.events.trial_events import PauseAsked as PauseAsked
from core.contract.events.trial_events import PruneAsked as PruneAsked
from core.contract.events.trial_events import ResumeAsked as ResumeAsked
from core.contract.events.trial_events import ScoringAssigned as ScoringAssigned
from core.contract.events.trial_events import ScoringEnded as ScoringEnded
from core.contract.events.trial_events import TrialCheckpointed as TrialCheckpointed
from core.contract.events.trial_events import TrialCompleted as TrialCompleted
from core.contract.events.trial_events import TrialEvaluated as TrialEvaluated
from core.contract.events.trial_events import TrialFailed as TrialFailed
from core.contract.events.trial_events import TrialInfeasible as TrialInfeasible
from core.contract.events.trial_events import TrialPaused as TrialPaused
from core.contract.events.trial_events import TrialPruned as TrialPruned
from core.contract.events.trial_events import TrialQueued as TrialQueued
from core.contract.events.trial_events import TrialReported as TrialReported
from core.contract.events.trial_events import TrialRequeued as TrialRequeued
from core.contract.events.trial_events import TrialResumed as TrialResumed
from core.contract.events.trial_events import TrialRunning as TrialRunning
from core.contract.events.trial_events import TrialScored as TrialScored
from core.contract.events.trial_events import TrialScoring as TrialScoring
from core.contract.events.trial_events import TrialStarting as TrialStarting
from core.contract.events.trial_events import TrialWeighed as TrialWeighed

AnyEvent = (
    StudyCreated | StudyReopened | StudyPaused | StudyResumed | StudyStopping | StudyEnded | StudyNoted
    | Preparing | PackMeasured | TrialQueued | TrialWeighed | TrialStarting | TrialRunning
    | TrialReported | TrialEvaluated | TrialScored | BaseScored
    | PauseAsked | TrialPaused | ResumeAsked | TrialResumed | PruneAsked | TrialPruned
    | TrialCompleted | TrialFailed | TrialInfeasible | TrialRequeued | TrialCheckpointed
    | MachineRead | MemoryShort | TrialScoring | ScoringAssigned | ScoringEnded
    | EditAsked | TrialEdited | TrialMarked | TrialReprieved | StudyChanged | RatingGiven
)  # fmt: skip
