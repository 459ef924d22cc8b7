"""What console and engine say to each other about sampled answers and their blind ratings."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from core.contract import input_size_limits
from core.contract.input_size_limits import Int, Name, Step, Text
from core.contract.wire.worker_api import SamplePiece

BASE = -1  # stands for the base model where a trial's number is expected
Choice = Literal["left", "right", "tie"]
SampleTokens = Annotated[int, msgspec.Meta(ge=1, le=input_size_limits.MOST_AT_ONCE)]
Temperature = Annotated[float, msgspec.Meta(ge=0.0, le=10.0)]


class AskSample(msgspec.Struct, frozen=True, tag="ask-sample"):
    """Complete ``prompt``, in the form of the study's rows, by a trial's adapter as it is now (BASE: the
    base). An empty prompt is that of a validation row, which ``seed`` draws; ``temperature`` 0 is greedy. The
    reply's answer is a SampleText without text, with the ticket."""

    study: Name
    trial: Int
    prompt: Text = ""
    max_tokens: SampleTokens = 200
    temperature: Temperature = 0.0
    seed: Step = 0


class FollowSample(msgspec.Struct, frozen=True, tag="follow-sample"):
    """Ask for the answer of a ticket. The reply's answer is a SampleText: as soon as it has more than
    ``known`` tokens, or after some seconds without any."""

    study: Name
    ticket: Name
    known: Step = 0


class CancelSample(msgspec.Struct, frozen=True, tag="cancel-sample"):
    """Generate no more of an answer. One that is done or unknown is not an error."""

    study: Name
    ticket: Name


class SampleText(SamplePiece, frozen=True, tag="sample-text"):
    """What a worker's SamplePiece says, for a console."""


class AskPair(msgspec.Struct, frozen=True, tag="ask-pair"):
    """Ask which two trials are compared next, and on which side; the base may be one of them. The reply's
    answer is a Pair."""

    study: Name
    seed: Step = 0
    base: bool = True


class Pair(msgspec.Struct, frozen=True, tag="pair"):
    """Two trials (BASE: the base) by their sides, ``drawn`` at random or chosen as the most informative."""

    left: int
    right: int
    drawn: bool = False


class RateSamples(msgspec.Struct, frozen=True, tag="rate-samples"):
    """Record that one of two answers to the same prompt is better, or neither."""

    study: Name
    left: Int
    right: Int
    choice: Choice
    prompt: Text = ""
    drawn: bool = False
    by: Name = "console"
