"""What console and engine say to each other, over a WebSocket on the engine's Unix socket.

GET /ws?from=console   a WebSocket of msgpack messages: first Welcome, then Snapshot, then Changed…
GET /ws?from=worker    the workers' side, see core.contract.wire.worker_api
GET /state             the state as JSON; GET /health; POST /request: a request and its reply as JSON
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from core.contract import input_size_limits
from core.contract.events.event_types import AnyEvent
from core.contract.input_size_limits import Int, Name, Path, Text
from core.contract.metric_score import Score
from core.contract.state.engine_state import State
from core.contract.state.event_list_lines import EventHistory
from core.contract.wire.answers.data_messages import AskDataReview, AskDataRow, DataReview, DataRow
from core.contract.wire.answers.evidence_answer import Evidence
from core.contract.wire.answers.introspection_answer import Insides
from core.contract.wire.memory_forecast import Forecast, MemoryNow
from core.contract.wire.sample_messages import (
    AskPair,
    AskSample,
    CancelSample,
    FollowSample,
    Pair,
    RateSamples,
    SampleText,
)
from core.contract.wire.search_state import Importance, SearchState

PROTOCOL = 2
AtOnce = Annotated[int, msgspec.Meta(ge=1, le=input_size_limits.MOST_AT_ONCE)]
Note = Annotated[str, msgspec.Meta(max_length=input_size_limits.LONGEST_NOTE)]
Priority = Annotated[
    int, msgspec.Meta(ge=-input_size_limits.LARGEST_PRIORITY, le=input_size_limits.LARGEST_PRIORITY)
]
Place = Annotated[int, msgspec.Meta(ge=0, le=input_size_limits.MOST_ENTRIES)]


class StartStudy(msgspec.Struct, frozen=True, tag="start-study"):
    """Start a study, or continue the one of that name if ``spec`` is the same.

    ``environment`` holds the variables in core.contract.wire.shell_environment.NAMES that are set in the
    shell of the request; None: the engine's own apply.
    """

    spec: dict[str, Any]
    where: Path = ""  # the file it came from, for messages
    by: Name = "console"
    environment: dict[Name, Text] | None = None

    def __repr__(self) -> str:  # a request may be logged, and the environment may hold a token
        return f"StartStudy({self.spec!r}, {self.where!r}, {self.by!r})"


class StopStudy(msgspec.Struct, frozen=True, tag="stop-study"):
    """End the running trials and start no more. Finished results stay."""

    study: Name
    by: Name = "console"


class PauseStudy(msgspec.Struct, frozen=True, tag="pause-study"):
    """Keep all trials of a study and release its devices."""

    study: Name
    by: Name = "console"


class ResumeStudy(msgspec.Struct, frozen=True, tag="resume-study"):
    """Let a paused study use its devices again."""

    study: Name
    by: Name = "console"


class PauseTrial(msgspec.Struct, frozen=True, tag="pause-trial"):
    """Pause a starting or running trial."""

    study: Name
    trial: Int
    by: Name = "console"


class ResumeTrial(msgspec.Struct, frozen=True, tag="resume-trial"):
    """Let a paused trial continue."""

    study: Name
    trial: Int
    by: Name = "console"


class PruneTrial(msgspec.Struct, frozen=True, tag="prune-trial"):
    """End a trial that is queued, starting, running or paused."""

    study: Name
    trial: Int
    by: Name = "console"
    why: Text = ""


class Foresee(msgspec.Struct, frozen=True, tag="foresee"):
    """Estimate the memory of ``pack`` trials with these knobs.

    ``trial`` gives the initial knobs (else the study's own); ``changes`` are knobs, and "precision" and
    "gradient_checkpointing" of the base. The reply's answer is a Forecast.
    """

    study: Name
    trial: Int | None = None
    changes: dict[str, Any] = {}
    pack: AtOnce = 1
    device: Name = ""


class WeighMemory(msgspec.Struct, frozen=True, tag="weigh-memory"):
    """Ask for the memory in use, and what the queued trials wait for. The reply's answer is a MemoryNow."""

    study: Name


class AskEvidence(msgspec.Struct, frozen=True, tag="ask-evidence"):
    """Ask for the worst samples of a trial's metric; trial -1 is the base. The reply's answer is Evidence."""

    study: Name
    trial: Int
    metric: Name


class EnqueueTrial(msgspec.Struct, frozen=True, tag="enqueue-trial"):
    """Queue a trial written by hand: ``knobs`` over those of the study, or of the trial ``like``.

    The sampler fills in knobs of the space that are not given. The reply's answer is a Queued.
    """

    study: Name
    knobs: dict[str, Any]
    like: Int | None = None
    by: Name = "console"


class CloneTrial(msgspec.Struct, frozen=True, tag="clone-trial"):
    """Queue a trial that continues from the present state of ``trial``, with ``changes`` of its knobs; the
    original continues too.

    The reply's answer is a Queued.
    """

    study: Name
    trial: Int
    changes: dict[str, Any] = {}
    by: Name = "console"
    place_of: Int = -1  # the trial of a population that is about to be pruned for it
    best: bool = False  # from the checkpoint of its best evaluation, where that is kept


class EditTrial(msgspec.Struct, frozen=True, tag="edit-trial"):
    """Change knobs of a running trial: numbers, or factors such as "x0.5".

    Its result is reported to the sampler only if it is ``counted``.
    """

    study: Name
    trial: Int
    changes: dict[str, Any]
    counted: bool = False
    by: Name = "console"


class ReprieveTrial(msgspec.Struct, frozen=True, tag="reprieve-trial"):
    """Undo a prune while the trial's checkpoint exists."""

    study: Name
    trial: Int
    by: Name = "console"


class MarkTrial(msgspec.Struct, frozen=True, tag="mark-trial"):
    """Annotate or star a trial, pin it to a device ("" unpins it), or set its priority in the queue; None
    leaves a value unchanged."""

    study: Name
    trial: Int
    note: Note | None = None
    starred: bool | None = None
    device: Name | None = None
    priority: Priority | None = None
    by: Name = "console"


class ChangeStudy(msgspec.Struct, frozen=True, tag="change-study"):
    """Change a running study.

    ``changes`` are tables of its file with the changed keys, [space] knob by knob (None removes a knob). The
    reply's answer is a Change; with ``preview`` nothing happens.
    """

    study: Name
    changes: dict[str, dict[str, Any]]
    preview: bool = False
    by: Name = "console"


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The study runs. ``notes`` list differences between its environment and the engine's own."""

    notes: tuple[str, ...] = ()


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """The number of the trial that was queued."""

    trial: Int


class Change(msgspec.Struct, frozen=True, tag="change"):
    """The differences in a study, and their effects, line by line."""

    changes: tuple[str, ...]
    effects: tuple[str, ...] = ()


class AskImportance(msgspec.Struct, frozen=True, tag="ask-importance"):
    """Ask which knobs matter for an objective, by its index.

    ``method`` is one of search_state.METHODS. The reply's answer is Importance.
    """

    study: Name
    method: Name = "ped-anova"
    objective: Place = 0


class AskSearch(msgspec.Struct, frozen=True, tag="ask-search"):
    """Ask for the state of sampler and pruner. The reply's answer is SearchState."""

    study: Name


class AskInsides(msgspec.Struct, frozen=True, tag="ask-insides"):
    """Ask for a trial's introspection data. The reply's answer is Insides."""

    study: Name
    trial: Int


class AskHistory(msgspec.Struct, frozen=True, tag="ask-history"):
    """Which lines of the event list does the state no longer have? The reply's answer is EventHistory."""

    study: Name


class AskPaired(msgspec.Struct, frozen=True, tag="ask-paired"):
    """How do ``others`` differ from ``trial`` on the same validation rows? The reply's answer is Paired."""

    study: Name
    trial: Int
    others: tuple[Int, ...]


class PairedLosses(msgspec.Struct, frozen=True):
    """The mean over rows of a trial's loss less that of the first, at a step of each, with its interval; or
    why there is none."""

    trial: int
    first_step: int = 0
    step: int = 0
    difference: Score = Score(None)
    why_none: str = ""


class Paired(msgspec.Struct, frozen=True, tag="paired"):
    """The differences, in the order of the question."""

    differences: tuple[PairedLosses, ...]


class StopEngine(msgspec.Struct, frozen=True, tag="stop-engine"):
    """Exit; refused while a study runs unless ``force``."""

    force: bool = False


AnyRequest = (
    StartStudy | StopStudy | PauseStudy | ResumeStudy | PauseTrial | ResumeTrial | PruneTrial
    | Foresee | WeighMemory | AskEvidence | AskImportance | AskSearch | AskInsides | AskHistory
    | AskPaired | StopEngine
    | EnqueueTrial | CloneTrial | EditTrial | ReprieveTrial | MarkTrial | ChangeStudy
    | AskSample | FollowSample | CancelSample | AskPair | RateSamples | AskDataReview | AskDataRow
)  # fmt: skip
Answer = (
    Forecast | MemoryNow | Evidence | Started | Queued | Change | Importance | SearchState | Insides
    | EventHistory | SampleText | Pair | Paired | DataReview | DataRow
)  # fmt: skip
READING = (  # requests that change nothing and take no time of a GPU
    Foresee, WeighMemory, AskEvidence, AskImportance, AskSearch, AskInsides, AskHistory, AskPaired,
    AskDataReview, AskDataRow,
)  # fmt: skip


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A request on the WebSocket; the Reply carries the same ``id``."""

    id: Int
    request: AnyRequest


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The engine's first message."""

    protocol: int
    pid: int
    version: str


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The whole state after event ``number``; it replaces the receiver's state."""

    number: int
    state: State


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """The events after ``number - len(events)``, up to ``number``, in order."""

    number: int
    events: tuple[AnyEvent, ...]


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The request was done (``ok``), or refused with what, where and fix. ``answer`` is set for requests that
    ask for one."""

    id: int
    ok: bool
    what: str = ""
    where: str = ""
    fix: str = ""
    answer: Answer | None = None


ToConsole = Welcome | Snapshot | Changed | Reply
