"""Messages between engine and worker.

The worker numbers its messages and keeps each until the engine acknowledges that it is durable; the engine
drops a number that it has already received.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.contract.events.event_types import AnyEvent
from core.contract.input_size_limits import Count, Int, Name, Pid, Seconds, Text


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker's first message on each connection: its identity and the trials that it holds."""

    protocol: int
    worker: Name
    pid: Pid
    study: Name
    device: Name
    trials: tuple[Int, ...] = ()
    memory_bytes: Count | None = None
    answers_samples: bool = False  # a worker of an earlier version does not know Sample


class Told(msgspec.Struct, frozen=True, tag="told"):
    """An event in the worker; ``number`` counts from 1 in the worker's lifetime."""

    number: Int
    event: AnyEvent


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A heartbeat that renews the lease, sent every few seconds even while a step takes long."""

    busy_s: Seconds = 0.0  # time since the training thread last reported


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """The worker cannot work at all (no model, no data): the study ends with this error.

    If it ``keeps`` its trials, they wait until the cause is fixed.
    """

    what: str
    where: str = ""
    fix: str = ""
    traceback: str = ""
    keeps: bool = False


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """The worker exits in good order after a signal, with its trials kept, though the engine did not request
    it."""

    why: str


class SamplePiece(msgspec.Struct, frozen=True, tag="sample-piece"):
    """The answer to a Sample so far, by an adapter as it was after ``step``; the last piece is ``done``, and
    says ``why`` where there is no more of it. ``prompt`` is the one that was drawn. Not durable: lost with
    the connection."""

    ticket: Name
    text: Text = ""
    tokens: Count = 0
    step: Count = 0
    done: bool = False
    why: str = ""
    prompt: Text = ""


FromWorker = Hello | Told | Beat | Broken | Leaving | SamplePiece


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """All messages up to ``number`` are durable: forget them."""

    number: int


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """Train this trial; ``knobs`` is complete.

    It continues from ``checkpoint`` if one is given. A clone, which has a ``parent``, fails if it cannot: it
    would otherwise be another trial.
    """

    trial: int
    knobs: dict[str, Any]
    folder: str  # trials/<n> in the study's folder
    checkpoint: str = ""
    paused: bool = False
    retry: int = 0  # how often it has lost its worker
    parent: int = -1


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Pause before the next micro-batch."""

    trial: int


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Continue."""

    trial: int


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """End the trial before the next micro-batch."""

    trial: int
    why: str


class Edit(msgspec.Struct, frozen=True, tag="edit"):
    """Continue with other knobs from the next step, and report TrialEdited."""

    trial: int
    changes: dict[str, Any]
    by: str = ""


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Write a checkpoint of the trial now and report TrialCheckpointed, even if there is one of this step."""

    trial: int


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """Checkpoint the trial and release it, because it continues elsewhere; reported as TrialRequeued."""

    trial: int
    why: str


class Score(msgspec.Struct, frozen=True, tag="score"):
    """Score the adapter of a complete trial that an earlier worker left unscored; ``step`` was its last."""

    trial: int
    knobs: dict[str, Any]
    folder: str  # trials/<n> in the study's folder
    step: int
    elapsed_s: float
    latest: dict[str, float] = {}  # its metrics, for its objectives


class Unscore(msgspec.Struct, frozen=True, tag="unscore"):
    """Drop the pending scoring of the trial."""

    trial: int
    why: str


class Bound(msgspec.Struct, frozen=True, tag="bound"):
    """Limit each pass to ``tokens``, including padding; 0 removes the bound."""

    tokens: int


class AskTriggers(msgspec.Struct, frozen=True, tag="triggers"):
    """Use these evaluate.triggers from now on; no effect if they are the present ones."""

    triggers: tuple[str, ...]


class Sample(msgspec.Struct, frozen=True, tag="sample"):
    """Complete ``prompt`` by the trial as it is now (-1: the base alone) and send it in SamplePieces.

    An empty prompt is that of a validation row, which ``seed`` draws. Of a trial that the worker does not
    train, ``folder`` (trials/<n>) holds the adapter and ``knobs`` its form. ``temperature`` 0 is greedy.
    """

    ticket: str
    trial: int
    prompt: str
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    folder: str = ""
    knobs: dict[str, Any] = {}
    step: int = 0  # of the adapter in ``folder``


class CancelSample(msgspec.Struct, frozen=True, tag="cancel-sample"):
    """Generate no more of an answer, if it is not done."""

    ticket: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Release every trial and exit."""

    why: str


ToWorker = (
    Heard | Assign | Pause | Resume | Prune | Edit | Keep | Leave | Score | Unscore | Bound | AskTriggers
    | Sample | CancelSample | Shutdown
)  # fmt: skip

# Command line of a worker process: python -P -m core.train.commands.worker STUDY_FOLDER WORKER_NAME DEVICE
# with the environment variables below. DEVICE is "cpu" or "cuda:0" (the engine narrows
# CUDA_VISIBLE_DEVICES to the one card, so that it is cuda:0 in the worker).
ENV_SOCKET = "TRIMTAB_SOCKET"
