"""Introspection of a tuned model on a few rows, compared with the base: where its loss is, and where it
attends."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, array_like=True):
    """The target tokens of one kind, or of one part of their rows: their share of the total loss and their
    mean loss (nats/token), of the trial and of the base."""

    name: str
    tokens: int
    share: float
    mean: float
    base_share: float
    base_mean: float


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A target token with its context before and after; losses in nats."""

    before: str
    text: str
    after: str
    kind: str
    loss: float
    base_loss: float


class Layer(msgspec.Struct, frozen=True, array_like=True):
    """Where one layer attends, as means over rows and queries, of the trial and of the base.

    The entropy of each head from 0 (one token) to 1 (uniform), and the shares of attention on the first token
    and on special tokens after it, as means over heads.
    """

    layer: int
    entropy: tuple[float, ...]
    base_entropy: tuple[float, ...]
    first: float
    base_first: float
    special: float
    base_special: float


class Insides(msgspec.Struct, frozen=True, tag="insides"):
    """Introspection of a trial at ``step`` on ``rows`` validation rows with ``tokens`` targets.

    ``top`` is the share of the loss in its largest tenth of tokens. ``layers`` may be empty, with
    ``why_no_attention``; everything is empty with ``why_none``. ``warning`` is the text in the event list.
    """

    trial: int
    step: int = 0
    rows: int = 0
    tokens: int = 0
    loss: float = 0.0
    base_loss: float = 0.0
    top: float = 0.0
    base_top: float = 0.0
    kinds: tuple[Part, ...] = ()
    quarters: tuple[Part, ...] = ()
    worst: tuple[Token, ...] = ()  # the largest loss first
    layers: tuple[Layer, ...] = ()
    why_no_attention: str = ""
    warning: str = ""
    why_none: str = ""
