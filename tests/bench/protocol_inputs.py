"""What a broken, older, foreign or hostile program may send to the engine."""

from __future__ import annotations

import random

import msgspec

from core.contract.events import event_types as e
from core.contract.wire import console_api, message_codec, worker_api

LARGE = 9 << 20  # above what a request may have
REQUESTS = (
    console_api.StartStudy({"study": {"name": "../../x"}, "model": {}, "data": {"source": 7}}),
    console_api.StopStudy("t"),
    console_api.PauseStudy("t"),
    console_api.ResumeStudy("t"),
    console_api.PauseTrial("t", 2**62),
    console_api.ResumeTrial("s\x00", -1),
    console_api.PruneTrial("t", 0, why="\x1b]0;x\x07" * 50),
    console_api.StopEngine(),
)
NAN = {"x": float("nan")}
TOLD = (
    worker_api.Told(1, e.TrialReported(at=1.0, study="s", trial=0, step=1, elapsed_s=1.0, metrics=NAN)),
    worker_api.Told(
        2**63, e.TrialCompleted(at=-1e300, study="s", trial=0, step=2**62, values=(float("inf"),))
    ),
    worker_api.Told(-1, e.StudyEnded(at=1.0, study="s", outcome="failed", why="so")),
    worker_api.Beat(float("nan")),
    worker_api.Broken("x" * 1000),
)
HELLOS = (
    worker_api.Hello(console_api.PROTOCOL, "nobody", 1, "s", "cpu"),
    worker_api.Hello(99, "cpu-1", 1, "s", "cpu", (0, 1)),
    worker_api.Hello(console_api.PROTOCOL, "../../etc", 2**40, "s", "cpu", tuple(range(200))),
)
HEADS = (
    b"GET /state HTTP/1.1\r\nHost: e\r\n\r\n", b"POST /request HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /request HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx", b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    b"PUT /../../etc HTTP/1.1\r\nHost: e\r\n\r\n", b"GET /state HTTP/9.9\r\nX: \x00\r\n\r\n",
    b"POST /request HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\nx",
)  # fmt: skip


def posted(draw: random.Random) -> bytes:
    """The body of a request over HTTP."""
    kind = draw.random()
    if kind < 0.001:
        return b"[" * LARGE
    if kind < 0.05:
        return _deep(draw, b"[", b'{"a":')
    if kind < 0.25:
        return draw.randbytes(draw.randint(0, 300))
    return _damaged(draw, msgspec.json.encode(draw.choice(REQUESTS)))


def from_console(draw: random.Random) -> bytes:
    """A message on a console's line."""
    kind = draw.random()
    if kind < 0.05:
        return _deep(draw, b"\x91", b"\x81\xa1a")
    if kind < 0.25:
        return draw.randbytes(draw.randint(0, 300))
    return _damaged(
        draw, message_codec.encode(console_api.Ask(draw.randint(-5, 2**62), draw.choice(REQUESTS)))
    )


def from_worker(draw: random.Random) -> list[bytes]:
    """What a strange worker says after its line is open."""
    said = [] if draw.random() < 0.3 else [message_codec.encode(draw.choice(HELLOS))]
    said += [message_codec.encode(draw.choice(TOLD)) for _ in range(draw.randint(0, 3))]
    if draw.random() < 0.5:
        said.append(draw.randbytes(draw.randint(0, 200)))
    return [_damaged(draw, one) for one in said]


def http(draw: random.Random) -> bytes:
    """Raw bytes on the socket."""
    return _damaged(draw, draw.choice(HEADS)) if draw.random() < 0.8 else draw.randbytes(200)


def _damaged(draw: random.Random, raw: bytes) -> bytes:
    """As it is, cut, with flipped bits, doubled, or with bytes of another kind in it."""
    kind, bent = draw.random(), bytearray(raw)
    if kind < 0.2 or not bent:
        return raw
    if kind < 0.4:
        return raw[: draw.randrange(len(raw))]
    if kind < 0.5:
        return raw + raw
    for _ in range(draw.randint(1, 6)):
        bent[draw.randrange(len(bent))] = draw.randrange(256) if kind < 0.8 else 0xC1
    return bytes(bent)


def _deep(draw: random.Random, *openings: bytes) -> bytes:
    return draw.choice(openings) * draw.choice((500, 5_000, 100_000))
