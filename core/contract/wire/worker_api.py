"""What engine and worker say to each other. The worker numbers what it says and keeps it until the
engine acknowledges that it is durable; the engine drops a number it has seen."""

from __future__ import annotations

from typing import Any

import msgspec

from core.contract.events.event_types import AnyEvent
from core.contract.input_size_limits import Count, Int, Name, Pid, Seconds


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker's first word on each connection: who it is and what it holds."""

    protocol: int
    worker: Name
    pid: Pid
    study: Name
    device: Name
    trials: tuple[Int, ...] = ()
    memory_bytes: Count | None = None


class Told(msgspec.Struct, frozen=True, tag="told"):
    """An event the worker saw happen; ``number`` counts from 1 in this worker's life."""

    number: Int
    event: AnyEvent


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """I live: renews the lease. Sent every few seconds even while a step takes long."""

    busy_s: Seconds = 0.0  # time since the training thread last came up for air


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """The worker as a whole cannot work (no model, no data): the study stops with this. Where it ``keeps``
    its trials they wait until what is wrong was put right."""

    what: str
    where: str = ""
    fix: str = ""
    traceback: str = ""
    keeps: bool = False


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """The worker goes in good order, with its trials kept, though nobody here sent it away: a signal."""

    why: str


FromWorker = Hello | Told | Beat | Broken | Leaving


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """All up to ``number`` is durable: forget it."""

    number: int


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """Train this trial; ``knobs`` is complete. Goes on from ``checkpoint`` where one is named. A clone, which
    has a ``parent``, fails where it cannot: its beginning would be another trial's."""

    trial: int
    knobs: dict[str, Any]
    folder: str  # trials/<n> in the study's folder
    checkpoint: str = ""
    paused: bool = False
    retry: int = 0  # how often it lost its worker already
    parent: int = -1


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Stand still before the next micro-batch."""

    trial: int


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Go on."""

    trial: int


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """End the trial before the next micro-batch."""

    trial: int
    why: str


class Edit(msgspec.Struct, frozen=True, tag="edit"):
    """Go on with other knobs from the next step, and tell TrialEdited."""

    trial: int
    changes: dict[str, Any]
    by: str = ""


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Write a checkpoint of the trial now, and tell TrialCheckpointed though there be one of this step."""

    trial: int


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """Keep the trial and let it go: it goes on elsewhere. Told as TrialRequeued."""

    trial: int
    why: str


class Score(msgspec.Struct, frozen=True, tag="score"):
    """Score the adapter of a complete trial, which an earlier worker left unscored; ``step`` was its last."""

    trial: int
    knobs: dict[str, Any]
    folder: str  # trials/<n> in the study's folder
    step: int
    elapsed_s: float
    latest: dict[str, float] = {}  # its metrics, for its objectives


class Unscore(msgspec.Struct, frozen=True, tag="unscore"):
    """Drop what is pending of the trial's scoring."""

    trial: int
    why: str


class Bound(msgspec.Struct, frozen=True, tag="bound"):
    """No pass may have more than ``tokens``, padding included; 0 lifts the bound."""

    tokens: int


class AskTriggers(msgspec.Struct, frozen=True, tag="triggers"):
    """Ask with these evaluate.triggers from now on; without effect where they are those that it asks with."""

    triggers: tuple[str, ...]


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Let every trial go and exit."""

    why: str


ToWorker = (
    Heard | Assign | Pause | Resume | Prune | Edit | Keep | Leave | Score | Unscore | Bound | AskTriggers
    | Shutdown
)  # fmt: skip

# Command line of a worker process: python -P -m core.train.commands.worker STUDY_FOLDER WORKER_NAME DEVICE
# with the environment variables below. DEVICE is "cpu" or "cuda:0" (the engine narrows
# CUDA_VISIBLE_DEVICES to the one card, so that it is cuda:0 in the worker).
ENV_SOCKET = "TRIMTAB_SOCKET"
