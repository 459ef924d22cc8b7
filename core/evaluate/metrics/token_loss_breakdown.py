"""Which tokens carry the loss: by kind, by position, and the few with the largest losses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.contract.wire.answers.introspection_answer import Part

KINDS = ("first", "words", "digits", "punctuation", "space", "special")
QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
TOP = 0.1  # of the tokens


def classify_token(text: str, special: bool = False, first: bool = False) -> str:
    """Return the kind of a token, one of KINDS.

    ``first`` is a row's first target, such as the beginning of an answer, whatever it says; then the
    tokenizer's ``special`` tokens; then by characters, ignoring surrounding spaces. A part of a character, as
    in byte tokenizers, counts as a word.
    """
    core = text.strip()
    if first:
        return "first"
    if special:
        return "special"
    if not core:
        return "space"
    if all(character.isdigit() for character in core):
        return "digits"
    return (
        "words" if any(character.isalnum() or character == "\ufffd" for character in core) else "punctuation"
    )


def quarter(place: int, count: int) -> str:
    """Return the quarter of QUARTERS in which target ``place`` of ``count`` in its row lies."""
    return QUARTERS[min(3, 4 * place // max(1, count))]


def split_loss(
    names: Sequence[str], losses: Sequence[float], base: Sequence[float], order: Sequence[str]
) -> tuple[Part, ...]:
    """Return groups of tokens by name, in ``order``: share of the summed loss, and mean in nats/token, of the
    trial and of the base."""
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(name, []).append(at)
    groups = []
    for name in order:
        if name in places:
            trial_losses, base_losses = ([column[at] for at in places[name]] for column in (losses, base))
            shares = [_share(sum(trial_losses), sum(losses)), _share(sum(base_losses), sum(base))]
            means = [sum(trial_losses) / len(trial_losses), sum(base_losses) / len(base_losses)]
            groups.append(Part(name, len(trial_losses), shares[0], means[0], shares[1], means[1]))
    return tuple(groups)


def compute_top_share(losses: Sequence[float], share: float = TOP) -> float:
    """Return the share of the summed loss that the largest ``share`` of the tokens carry, at least one token:
    ``share`` itself if all losses are equal, near 1 if few tokens are left to learn."""
    count = max(1, math.ceil(share * len(losses)))
    return _share(sum(sorted(losses, reverse=True)[:count]), sum(losses))


def _share(part: float, total: float) -> float:
    return part / total if total else 0.0
