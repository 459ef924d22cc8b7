"""Valid messages of every kind with one thing in them that is wrong: a bound, a type, a length, a depth, a
field too few or too many. They come further into an engine than random bytes.

What would do what it asks for, such as stopping the study, is asked of a study that does not exist."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import msgspec
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.wire import console_api, sample_messages, worker_api
from tests.daemon.conftest import raw_study
from tests.daemon.packs import pack

HERE, GONE = "s", "t"  # the study that runs, and none
SPACE = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "lora_rank": [2, 4, 8]}
TABLES = {
    "study": {"trials": 5, "fixed": {"lora_rank": 4}, "stop_after": {"hours": 2.0}, "constraints": []},
    "resources": {"pack": 2, "memory": "2 GiB", "retries": 3},
    "evaluate": {"limits": [], "on_breach": "warn"},
    "space": SPACE,
}
FULL = raw_study(study={"seed": 3, "threshold": {}, "warm_start": []}, space=SPACE)
REQUESTS: tuple[console_api.AnyRequest, ...] = (
    console_api.StartStudy(FULL, "a.toml"),
    console_api.StopStudy(GONE),
    console_api.PauseStudy(GONE),
    console_api.ResumeStudy(HERE),
    console_api.PauseTrial(GONE, 0),
    console_api.ResumeTrial(HERE, 0),
    console_api.PruneTrial(GONE, 0, why="so"),
    console_api.Foresee(HERE, 0, {"lora_rank": 8, "precision": "bf16"}, 2),
    console_api.WeighMemory(HERE),
    console_api.AskEvidence(HERE, 0, "safety/toxicity"),
    console_api.AskImportance(GONE),
    console_api.AskSearch(GONE),
    console_api.AskInsides(HERE, 0),
    console_api.AskHistory(HERE),
    sample_messages.AskSample(HERE, 0, "a prompt", 8, 0.5, 1),
    sample_messages.FollowSample(HERE, "ticket", 3),
    sample_messages.CancelSample(HERE, "ticket"),
    sample_messages.AskPair(HERE, 1),
    sample_messages.RateSamples(GONE, 0, 1, "left"),
    console_api.StopEngine(),
    console_api.EnqueueTrial(HERE, {"lora_rank": 4, "depth": 1}, 0),
    console_api.CloneTrial(HERE, 0, {"learning_rate": 1e-4, "lora_rank": 4}),
    console_api.EditTrial(HERE, 0, {"learning_rate": "x0.5", "clip_norm": 1.0}),
    console_api.ReprieveTrial(HERE, 0),
    console_api.MarkTrial(HERE, 0, "a note", True, "", 3),
    console_api.ChangeStudy(HERE, TABLES, preview=True),
)
_AT: dict[str, Any] = {"at": 1.7e9, "study": HERE}
_ON: dict[str, Any] = {**_AT, "trial": 0}
_SCORES = {"quality/exact": Score(0.5, 0.4, 0.6, 100)}
EVENTS: tuple[e.Event, ...] = (
    e.Preparing(**_AT, worker="w", stage="loading", done=1, total=9), replace(pack(2), study=HERE),
    e.StudyNoted(**_AT, text="word"),
    e.TrialRunning(**_ON, step=0, total_steps=20, trainable=9), e.BaseScored(**_AT, scores=_SCORES),
    e.TrialReported(**_ON, step=1, elapsed_s=1.0, metrics={"train/loss": 2.0}, notes=("clipped",)),
    e.TrialEvaluated(**_ON, step=5, elapsed_s=1.0, metrics={"eval/loss": 2.0}, rows=(1.0, 2.0)),
    e.TrialScored(**_ON, step=5, elapsed_s=1.0, scores=_SCORES, changes=_SCORES),
    e.TrialScoring(**_ON, step=5, done=1, total=9), e.ScoringEnded(**_ON, why="so"),
    e.TrialPaused(**_ON, step=5), e.TrialResumed(**_ON, step=5), e.TrialPruned(**_ON, step=5, why="so"),
    e.TrialCompleted(**_ON, step=20, values=(1.0,)), e.TrialFailed(**_ON, error="so", again=True),
    e.TrialInfeasible(**_ON, why="so"), e.TrialCheckpointed(**_ON, step=5, path="trials/0/step-5"),
    e.TrialRequeued(**_ON, why="so", retry=1),
    e.TrialEdited(**_ON, step=5, changes={"learning_rate": (1e-4, 1e-3)}, total_steps=30),
    e.MemoryShort(**_AT, worker="w", device="cpu", trials=(0,), used_bytes=9, text="short"),
)  # fmt: skip
HELLO = worker_api.Hello(console_api.PROTOCOL, "cpu-1", 7, HERE, "cpu", (0,), 9)
WORKERS = (
    HELLO,
    worker_api.Beat(1.0),
    worker_api.Broken("it", "there", "so", "Traceback"),
    worker_api.Leaving("so"),
    *(worker_api.Told(number + 1, event) for number, event in enumerate(EVENTS)),
)

WHOLE = (
    -1, 0, 1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**31),
    -(2**63),
)  # fmt: skip
BEYOND = (2**64, -(2**63) - 1, 10**30, 10**400)  # JSON alone can say them
FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 1.5, 1e-12)
TEXTS = (
    "", " ", "x" * 300, "y" * 70_000, "\x00", "\x1b]0;x\x07", "\u202e", "e" + "\u0301" * 400, "9" * 400,
    "x" + "1" * 50_000, "nan", "1e999", "../../etc", " " * 5000 + "<= 1", "${HOME}", "sqlite:////etc/passwd",
    "safety/toxicity <= 1e999", "hf_" + "a1" * 20, "/dev/zero",
)  # fmt: skip
HALF = "a\ud800b"  # JSON alone


def _deep(depth: int) -> Any:
    found: Any = 1
    for turn in range(depth):
        found = [found] if turn % 2 else {"a": found}
    return found


def hostile(draw: random.Random, as_json: bool) -> Any:
    """One value that something may trip over."""
    kind = draw.randrange(10)
    if kind < 3:
        return draw.choice((*WHOLE, *BEYOND) if as_json else WHOLE)
    if kind < 5:
        return draw.choice(FLOATS)
    if kind < 7:
        return draw.choice((*TEXTS, HALF) if as_json else TEXTS)
    if kind == 7:
        return draw.choice(
            (None, [], {}, [None], [[]], {"": {}}, [1, "a", None], {"low": math.nan, "high": 2**62})
        )
    if kind == 8:
        return draw.choice((list(range(2000)), ["a"] * 5000, {str(one): one for one in range(1500)}))
    return _deep(draw.choice((3, 15, 17, 60, 300)))


def mutant(draw: random.Random, message: Any, as_json: bool) -> Any:
    """``message`` as plain values, with one thing changed in it."""
    whole = msgspec.to_builtins(message)
    tables = [table for table in _tables(whole) if table]
    table = draw.choice(tables)
    key = draw.choice([one for one in table if one not in KEPT] or ["unknown"])
    kind = draw.random()
    if kind < 0.1:
        table.pop(key, None)
    elif kind < 0.2:
        table[draw.choice(("unknown", "", "type", "x" * 1000))] = hostile(draw, as_json)
    else:
        table[key] = hostile(draw, as_json)
    for one in (whole, whole.get("request")):
        if isinstance(one, dict) and one.get("type") in ("enqueue-trial", "clone-trial"):
            _never(one, "changes" if one["type"] == "clone-trial" else "knobs")
    return whole


def _never(asked: dict[str, Any], field: str) -> None:
    """No trial comes of it, by a knob that there is not: thousands of trials would measure something else."""
    if isinstance(asked.get(field), dict):
        asked[field]["depth"] = 1
    elif not asked.get(field):
        asked["study"] = GONE


# What would be believed: another study, an end that was asked for, a change that is made.
KEPT = ("name", "force", "preview", "place_of")


def _tables(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) else []
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in within:
        found += _tables(one)
    return found


def as_json(draw: random.Random, message: Any) -> bytes:
    """A mutant of ``message`` as JSON; now and then with the numbers that JSON has not."""
    return json.dumps(mutant(draw, message, True)).encode()


def as_msgpack(draw: random.Random, message: Any) -> bytes:
    """A mutant of ``message`` as msgpack; now and then with text that is no UTF-8."""
    raw = msgspec.msgpack.encode(mutant(draw, message, False))
    return raw.replace(b"lora_rank", b"lora\xff\xfe\xc3rk") if draw.random() < 0.02 else raw


def posted(draw: random.Random) -> bytes:
    """The body of a request over HTTP."""
    return as_json(draw, draw.choice(REQUESTS))


def from_console(draw: random.Random) -> bytes:
    """A request on a console's line."""
    return as_msgpack(draw, console_api.Ask(draw.randint(0, 99), draw.choice(REQUESTS)))


def from_worker(draw: random.Random) -> bytes:
    """One word of a worker."""
    return as_msgpack(draw, draw.choice(WORKERS))
