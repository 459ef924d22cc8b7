"""What goes on inside a tuned model on a few rows, beside the base: where its loss is, and where it looks."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, array_like=True):
    """The target tokens of one kind, or of one stretch of their rows: the share of the whole loss that they
    carry and their mean loss (nats/token), of the trial and of the base."""

    name: str
    tokens: int
    share: float
    mean: float
    base_share: float
    base_mean: float


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A target token between what stands before and after it; losses in nats."""

    before: str
    text: str
    after: str
    kind: str
    loss: float
    base_loss: float


class Layer(msgspec.Struct, frozen=True, array_like=True):
    """Where one layer looks, means over rows and queries: the entropy of each head from 0 (one token) to 1
    (all alike), and the shares of attention on the first token and on special tokens after it, means over
    heads; of the trial and of the base."""

    layer: int
    entropy: tuple[float, ...]
    base_entropy: tuple[float, ...]
    first: float
    base_first: float
    special: float
    base_special: float


class Insides(msgspec.Struct, frozen=True, tag="insides"):
    """A trial at ``step`` on ``rows`` validation rows with ``tokens`` targets. ``top`` is the share of the
    loss that its largest tenth of tokens carries. ``layers`` may be none, with ``why_no_attention``; all is
    nothing where ``why_none`` says why. ``warning`` is what was said about it in the list of events."""

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
