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
from core.contract.state.engine_state import State
from core.contract.state.event_lines import EventHistory
from core.contract.wire.evidence_answer import Evidence
from core.contract.wire.introspection_answer import Insides
from core.contract.wire.memory_forecast import Forecast, MemoryNow
from core.contract.wire.search_state import Importance, SearchState

PROTOCOL = 2
AtOnce = Annotated[int, msgspec.Meta(ge=1, le=input_size_limits.MOST_AT_ONCE)]
Note = Annotated[str, msgspec.Meta(max_length=input_size_limits.LONGEST_NOTE)]
Priority = Annotated[
    int, msgspec.Meta(ge=-input_size_limits.LARGEST_PRIORITY, le=input_size_limits.LARGEST_PRIORITY)
]
Place = Annotated[int, msgspec.Meta(ge=0, le=input_size_limits.MOST_ENTRIES)]


class StartStudy(msgspec.Struct, frozen=True, tag="start-study"):
    """Begin a study, or go on with the one of that name when ``spec`` is the same. ``environment`` holds what
    is set of core.contract.wire.shell_environment.NAMES where it was asked; None: the engine's own holds."""

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
    """Keep all trials of a study and give its devices back."""

    study: Name
    by: Name = "console"


class ResumeStudy(msgspec.Struct, frozen=True, tag="resume-study"):
    """Let a paused study take its devices again."""

    study: Name
    by: Name = "console"


class PauseTrial(msgspec.Struct, frozen=True, tag="pause-trial"):
    """Pause a starting or running trial."""

    study: Name
    trial: Int
    by: Name = "console"


class ResumeTrial(msgspec.Struct, frozen=True, tag="resume-trial"):
    """Let a paused trial go on."""

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
    """What would ``pack`` trials take with these knobs? ``trial`` is the one to begin with (else the study's
    own knobs); ``changes`` are knobs, and "precision" and "gradient_checkpointing" of the base. The reply's
    answer is a Forecast."""

    study: Name
    trial: Int | None = None
    changes: dict[str, Any] = {}
    pack: AtOnce = 1
    device: Name = ""


class WeighMemory(msgspec.Struct, frozen=True, tag="weigh-memory"):
    """Who holds what, and what the queue waits for. The reply's answer is a MemoryNow."""

    study: Name


class AskEvidence(msgspec.Struct, frozen=True, tag="ask-evidence"):
    """The worst samples of a trial's metric; trial -1 is the base. The reply's answer is Evidence."""

    study: Name
    trial: Int
    metric: Name


class EnqueueTrial(msgspec.Struct, frozen=True, tag="enqueue-trial"):
    """Queue a trial written by hand: ``knobs`` over those of the study, or of the trial ``like``. Knobs of
    the space that are not named are the sampler's. The reply's answer is a Queued."""

    study: Name
    knobs: dict[str, Any]
    like: Int | None = None
    by: Name = "console"


class CloneTrial(msgspec.Struct, frozen=True, tag="clone-trial"):
    """Queue a trial that goes on from where ``trial`` stands now, with ``changes`` of its knobs; the original
    goes on beside it. The reply's answer is a Queued."""

    study: Name
    trial: Int
    changes: dict[str, Any] = {}
    by: Name = "console"
    place_of: Int = -1  # the trial of a population that is about to be pruned for it


class EditTrial(msgspec.Struct, frozen=True, tag="edit-trial"):
    """Change knobs of a trial while it runs: numbers, or factors such as "x0.5". Its result is told the
    sampler only where it is ``counted``."""

    study: Name
    trial: Int
    changes: dict[str, Any]
    counted: bool = False
    by: Name = "console"


class ReprieveTrial(msgspec.Struct, frozen=True, tag="reprieve-trial"):
    """Take a prune back while the trial's checkpoint exists."""

    study: Name
    trial: Int
    by: Name = "console"


class MarkTrial(msgspec.Struct, frozen=True, tag="mark-trial"):
    """Note or star a trial, pin it to a device ("" lets it go), or give it a place in the queue; None leaves
    as it is."""

    study: Name
    trial: Int
    note: Note | None = None
    starred: bool | None = None
    device: Name | None = None
    priority: Priority | None = None
    by: Name = "console"


class ChangeStudy(msgspec.Struct, frozen=True, tag="change-study"):
    """Change what may change of a study as it runs: ``changes`` are tables of its file with the keys that are
    other, [space] knob by knob (None takes a knob out). The reply's answer is a Change; with ``preview``
    nothing happens."""

    study: Name
    changes: dict[str, dict[str, Any]]
    preview: bool = False
    by: Name = "console"


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The study runs. ``notes`` say where its environment is other than the engine's own."""

    notes: tuple[str, ...] = ()


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """The number of the trial that was queued."""

    trial: Int


class Change(msgspec.Struct, frozen=True, tag="change"):
    """What changes in a study, and what comes of it, line by line."""

    changes: tuple[str, ...]
    effects: tuple[str, ...] = ()


class AskImportance(msgspec.Struct, frozen=True, tag="ask-importance"):
    """Which knobs matter for an objective, by its place? ``method`` is one of search_state.METHODS. The
    reply's answer is Importance."""

    study: Name
    method: Name = "ped-anova"
    objective: Place = 0


class AskSearch(msgspec.Struct, frozen=True, tag="ask-search"):
    """How do sampler and pruner stand? The reply's answer is SearchState."""

    study: Name


class AskInsides(msgspec.Struct, frozen=True, tag="ask-insides"):
    """Where a trial's loss is and where it looks. The reply's answer is Insides."""

    study: Name
    trial: Int


class AskHistory(msgspec.Struct, frozen=True, tag="ask-history"):
    """Which lines of the event list does the state no longer have? The reply's answer is EventHistory."""

    study: Name


class StopEngine(msgspec.Struct, frozen=True, tag="stop-engine"):
    """Exit; refused while a study runs unless ``force``."""

    force: bool = False


AnyRequest = (
    StartStudy | StopStudy | PauseStudy | ResumeStudy | PauseTrial | ResumeTrial | PruneTrial
    | Foresee | WeighMemory | AskEvidence | AskImportance | AskSearch | AskInsides | AskHistory
    | StopEngine
    | EnqueueTrial | CloneTrial | EditTrial | ReprieveTrial | MarkTrial | ChangeStudy
)  # fmt: skip
Answer = (
    Forecast | MemoryNow | Evidence | Started | Queued | Change | Importance | SearchState | Insides
    | EventHistory
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
    """The whole state after event ``number``. Replaces all that was known."""

    number: int
    state: State


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """The events after ``number - len(events)``, up to ``number``, in order."""

    number: int
    events: tuple[AnyEvent, ...]


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """Done (``ok``), or refused with what, where and how to mend it. ``answer`` to what asks for one."""

    id: int
    ok: bool
    what: str = ""
    where: str = ""
    fix: str = ""
    answer: Answer | None = None


ToConsole = Welcome | Snapshot | Changed | Reply
