"""A scripted engine's word on the rows of a study, and a study that draws them from a mixture."""

from __future__ import annotations

from typing import Any

import msgspec

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.wire import console_api
from core.contract.wire.answers.data_messages import (
    CONTEXT,
    CUT,
    LEARNT,
    AskDataReview,
    AskDataRow,
    DataFinding,
    DataReview,
    DataRow,
    DataSource,
    LengthBin,
    RowExample,
    RowPiece,
)
from tests.tui.scene import NOW, SPEC, study_events

COUNTS = (3, 11, 68, 145, 310, 620, 1180, 1900, 2400, 2100, 1300, 800, 310, 97, 20, 3)
LENGTHS = tuple(LengthBin(round(8 * 2 ** (place / 2)), rows) for place, rows in enumerate(COUNTS))
LEAK = DataFinding(
    "rows shared by training and validation", 214, 11_267, "high", "exact copies: 180, near copies: 34",
    "remove the copies, or let data.deduplicate do it before the split",
    (RowExample(12, "How do I reset my router?"), RowExample(377, "Write a haiku about j***@e***")),
    blocks="leakage",
)  # fmt: skip
MASKED = DataFinding(
    "rows that train nothing", 940, 11_267, "high", "no answer: 940",
    "give them answers, or leave them out: `trimtab clean`",
    (RowExample(3, "What is the capital of France?"),), blocks="masked", allowed=True,
)  # fmt: skip
PERSONAL = DataFinding(
    "personal data", 31, 1000, "medium", "e-mail addresses in 22, phone numbers in 9",
    "replace them: `trimtab clean --anonymise`",
    (RowExample(41, "write to j***@e*** before Friday"), RowExample(96, "call 0***, or come by")),
    "rules of trimtab: recall 0.97, precision 0.99", 0.021, 0.044,
)  # fmt: skip
CUT_ROWS = DataFinding(
    "rows that are cut", 430, 11_267, "low", "more than 512 tokens, estimated as bytes / 4; the end is cut: "
    "430", "raise sequence_length, shorten the prompts, or split the rows", (RowExample(8, "A long tale"),),
)  # fmt: skip
OK = tuple(
    DataFinding(name, 0, 11_267, "none") for name in ("empty rows", "encoding damage", "template faults")
)
CHAT = DataSource(
    "data.mixture.chat.source", "/data/assistant/conversations-2026.jsonl", 1, 41_943_040, "chat",
    ("messages",), ("id", "url"), ("read as chats: 'messages' has turns",), rows=11_267, sampled=1000,
    tokens=3_170_000, lengths=LENGTHS, findings=(PERSONAL, CUT_ROWS, LEAK, MASKED, *OK),
)  # fmt: skip
CODE = DataSource("data.mixture.code.source", "org/code-instructions", why_not="this is a hub data set")
REVIEW = DataReview(3, True, sources=(CHAT, CODE), sequence_length=512, checked_at=NOW - 200, took_s=41.0)
PIECES = (
    RowPiece("<|im_start|>user\nHow do I reset my router?<|im_end|>\n<|im_start|>assistant\n", CONTEXT),
    RowPiece("Hold the small button for ten seconds, until all lights go out.<|im_end|>\n", LEARNT),
    RowPiece("<|im_start|>user\nThanks!<|im_end|>\n<|im_start|>assistant\n", CONTEXT),
    RowPiece("You are welcome. ", LEARNT),
    RowPiece("Come back when the lights blink red.<|im_end|>", CUT),
)  # fmt: skip


def row(number: int) -> DataRow:
    """A chat with two answers, the second of which is cut."""
    if number > 500:
        return DataRow(CHAT.key, number, 500, why_none="the source has 500 rows")
    return DataRow(CHAT.key, number, 0, PIECES, 64, 21, True)


def answers(request: console_api.AnyRequest) -> console_api.Answer | None:
    """An engine that has checked the rows."""
    if isinstance(request, AskDataReview):
        return REVIEW
    return row(request.row) if isinstance(request, AskDataRow) else None


def mixture_spec() -> dict[str, Any]:
    """The scene's study, with three sources."""
    sources = [
        {"name": "chat", "source": "/data/assistant/conversations-2026.jsonl", "weight": 3.0},
        {"name": "code", "source": "org/code-instructions", "weight": 1.0},
        {"name": "earlier", "source": "/data/earlier.jsonl", "replay": True},
    ]
    raw = {**SPEC, "data": {"mixture": sources, "temperature": 2.0}, "train": {"steps": 400, "replay": 0.1}}
    return spec_file.convert_to_raw(spec_file.parse(raw))


def mixed_study() -> list[e.Event]:
    """The scene's study, whose trials report what they draw."""
    first, *rest = study_events()
    knobs = {"weight.chat": 3.0, "weight.code": 1.0, "weight.earlier": None, "replay": 0.1}
    told: list[e.Event] = [msgspec.structs.replace(first, spec=mixture_spec())]
    shares = {"chat": (0.675, 0.6738, 0.71), "code": (0.225, 0.2259, 0.2), "earlier": (0.1, 0.1003, 0.09)}
    drawn = {
        f"train/{kind}_share/{name}": share
        for name, values in shares.items()
        for kind, share in zip(("wanted", "row", "token"), values, strict=True)
    }
    for event in rest:
        if isinstance(event, e.TrialQueued):
            event = msgspec.structs.replace(event, knobs={**event.knobs, **knobs})
        elif isinstance(event, e.TrialReported):
            event = msgspec.structs.replace(event, metrics={**event.metrics, **drawn})
        told.append(event)
    return told
