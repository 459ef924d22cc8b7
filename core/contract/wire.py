"""What console and engine say to each other, over a WebSocket on the engine's Unix socket.

GET /ws?from=console   a WebSocket of msgpack messages: first Welcome, then Snapshot, then Changed…
GET /ws?from=worker    the workers' side, see core.contract.work
GET /state             the state as JSON; /health says that the engine lives
POST /request          one request as JSON, its reply as JSON
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.contract import work
from core.contract.events import AnyEvent
from core.contract.evidence import Evidence
from core.contract.foretold import Forecast, MemoryNow
from core.contract.insides import Insides
from core.contract.learnt import Importance, SearchState
from core.contract.state import State

PROTOCOL = 1


class StartStudy(msgspec.Struct, frozen=True, tag="start-study"):
    """Begin a study, or go on with the one of that name when ``spec`` is the same. ``environment`` holds what
    is set of core.contract.environment.NAMES where it was asked; None: the engine's own holds."""

    spec: dict[str, Any]
    where: str = ""  # the file it came from, for messages
    by: str = "console"
    environment: dict[str, str] | None = None

    def __repr__(self) -> str:
        """Without the environment, which may hold a token: a request may be logged."""
        return f"StartStudy({self.spec!r}, {self.where!r}, {self.by!r})"


class StopStudy(msgspec.Struct, frozen=True, tag="stop-study"):
    """End the running trials and start no more. Finished results stay."""

    study: str
    by: str = "console"


class PauseStudy(msgspec.Struct, frozen=True, tag="pause-study"):
    """Keep all trials of a study and give its devices back."""

    study: str
    by: str = "console"


class ResumeStudy(msgspec.Struct, frozen=True, tag="resume-study"):
    """Let a paused study take its devices again."""

    study: str
    by: str = "console"


class PauseTrial(msgspec.Struct, frozen=True, tag="pause-trial"):
    """Pause a starting or running trial."""

    study: str
    trial: int
    by: str = "console"


class ResumeTrial(msgspec.Struct, frozen=True, tag="resume-trial"):
    """Let a paused trial go on."""

    study: str
    trial: int
    by: str = "console"


class PruneTrial(msgspec.Struct, frozen=True, tag="prune-trial"):
    """End a trial that is queued, starting, running or paused."""

    study: str
    trial: int
    by: str = "console"
    why: str = ""


class Foresee(msgspec.Struct, frozen=True, tag="foresee"):
    """What would ``pack`` trials take with these knobs? ``trial`` is the one to begin with (else the study's
    own knobs); ``changes`` are knobs, and "precision" and "gradient_checkpointing" of the base. The reply's
    answer is a Forecast."""

    study: str
    trial: int | None = None
    changes: dict[str, Any] = {}
    pack: int = 1
    device: str = ""


class WeighMemory(msgspec.Struct, frozen=True, tag="weigh-memory"):
    """Who holds what, and what the queue waits for. The reply's answer is a MemoryNow."""

    study: str


class AskEvidence(msgspec.Struct, frozen=True, tag="ask-evidence"):
    """The worst samples of a trial's metric; trial -1 is the base. The reply's answer is Evidence."""

    study: str
    trial: int
    metric: str


class EnqueueTrial(msgspec.Struct, frozen=True, tag="enqueue-trial"):
    """Queue a trial written by hand: ``knobs`` over those of the study, or of the trial ``like``. Knobs of
    the space that are not named are the sampler's. The reply's answer is a Queued."""

    study: str
    knobs: dict[str, Any]
    like: int | None = None
    by: str = "console"


class CloneTrial(msgspec.Struct, frozen=True, tag="clone-trial"):
    """Queue a trial that goes on from where ``trial`` stands now, with ``changes`` of its knobs; the original
    goes on beside it. The reply's answer is a Queued."""

    study: str
    trial: int
    changes: dict[str, Any] = {}
    by: str = "console"
    place_of: int = -1  # the trial of a population that is about to be pruned for it


class EditTrial(msgspec.Struct, frozen=True, tag="edit-trial"):
    """Change knobs of a trial while it runs: numbers, or factors such as "x0.5". Its result is told the
    sampler only where it is ``counted``."""

    study: str
    trial: int
    changes: dict[str, Any]
    counted: bool = False
    by: str = "console"


class ReprieveTrial(msgspec.Struct, frozen=True, tag="reprieve-trial"):
    """Take a prune back while the trial's checkpoint exists."""

    study: str
    trial: int
    by: str = "console"


class MarkTrial(msgspec.Struct, frozen=True, tag="mark-trial"):
    """Note or star a trial, pin it to a device ("" lets it go), or give it a place in the queue; None leaves
    as it is."""

    study: str
    trial: int
    note: str | None = None
    starred: bool | None = None
    device: str | None = None
    priority: int | None = None
    by: str = "console"


class ChangeStudy(msgspec.Struct, frozen=True, tag="change-study"):
    """Change what may change of a study as it runs: ``changes`` are tables of its file with the keys that are
    other, [space] knob by knob (None takes a knob out). The reply's answer is a Change; with ``preview``
    nothing happens."""

    study: str
    changes: dict[str, dict[str, Any]]
    preview: bool = False
    by: str = "console"


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The study runs. ``notes`` say where its environment is other than the engine's own."""

    notes: tuple[str, ...] = ()


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """The number of the trial that was queued."""

    trial: int


class Change(msgspec.Struct, frozen=True, tag="change"):
    """What changes in a study, and what comes of it, line by line."""

    changes: tuple[str, ...]
    effects: tuple[str, ...] = ()


class AskImportance(msgspec.Struct, frozen=True, tag="ask-importance"):
    """Which knobs matter for an objective, by its place? ``method`` is one of core.contract.learnt. The
    reply's answer is Importance."""

    study: str
    method: str = "ped-anova"
    objective: int = 0


class AskSearch(msgspec.Struct, frozen=True, tag="ask-search"):
    """How do sampler and pruner stand? The reply's answer is SearchState."""

    study: str


class AskInsides(msgspec.Struct, frozen=True, tag="ask-insides"):
    """Where a trial's loss is and where it looks. The reply's answer is Insides."""

    study: str
    trial: int


class StopEngine(msgspec.Struct, frozen=True, tag="stop-engine"):
    """Exit; refused while a study runs unless ``force``."""

    force: bool = False


AnyRequest = (
    StartStudy | StopStudy | PauseStudy | ResumeStudy | PauseTrial | ResumeTrial | PruneTrial
    | Foresee | WeighMemory | AskEvidence | AskImportance | AskSearch | AskInsides | StopEngine
    | EnqueueTrial | CloneTrial | EditTrial | ReprieveTrial | MarkTrial | ChangeStudy
)  # fmt: skip
Answer = Forecast | MemoryNow | Evidence | Started | Queued | Change | Importance | SearchState | Insides


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A request on the WebSocket; the Reply carries the same ``id``."""

    id: int
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

_pack = msgspec.msgpack.Encoder()
_to_console = msgspec.msgpack.Decoder(ToConsole)
_from_console = msgspec.msgpack.Decoder(Ask)
_from_worker = msgspec.msgpack.Decoder(work.FromWorker)
_to_worker = msgspec.msgpack.Decoder(work.ToWorker)
_request = msgspec.json.Decoder(AnyRequest)


def encode(message: object) -> bytes:
    """Any message of either protocol as msgpack."""
    return _pack.encode(message)


def _read(decoder: Any, raw: bytes) -> Any:
    """Raises msgspec.DecodeError, and nothing else, for whatever it is not."""
    try:
        return decoder.decode(raw)
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from error


def read_request(raw: bytes) -> AnyRequest:
    """A request as JSON. Raises msgspec.DecodeError on anything else."""
    return _read(_request, raw)


def read_to_console(raw: bytes) -> ToConsole:
    """Raises msgspec.DecodeError on anything else."""
    return _read(_to_console, raw)


def read_from_console(raw: bytes) -> Ask:
    """Raises msgspec.DecodeError on anything else."""
    return _read(_from_console, raw)


def read_from_worker(raw: bytes) -> work.FromWorker:
    """Raises msgspec.DecodeError on anything else."""
    return _read(_from_worker, raw)


def read_to_worker(raw: bytes) -> work.ToWorker:
    """Raises msgspec.DecodeError on anything else."""
    return _read(_to_worker, raw)
