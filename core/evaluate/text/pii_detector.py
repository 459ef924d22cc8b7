"""Personal data in text: kinds and places of e-mail addresses, telephone numbers, accounts, cards and
more."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from core.evaluate.text.id_checksums import is_iban
from core.evaluate.text.pii_patterns import RULES

LONGEST = 1_000_000  # characters of one text that are read


@dataclass(frozen=True)
class Found:
    """One piece of personal data: ``text == whole[start:end]``."""

    kind: str
    start: int
    end: int
    text: str

    @property
    def key(self) -> str:
        """The same for the same data however it is spaced: kind and bare letters and digits."""
        kept = "@.:" if self.kind in ("email", "ipv4", "ipv6") else ""
        bare = "".join(one for one in self.text.casefold() if one.isalnum() or one in kept)
        return f"{self.kind} {bare}"


KINDS = tuple(RULES)
SURE = tuple(kind for kind in KINDS if kind != "address")  # an address is told by its looks alone


def find(text: str, kinds: Collection[str] = SURE) -> list[Found]:
    """The personal data in ``text``, in its order, without overlaps.

    Numbers that have a checksum must pass it, and addresses of networks must be such; telephone numbers and
    streets go by their form, so a few are missed and a few are none.
    """
    text, taken = text[:LONGEST], list[Found]()
    for kind in KINDS:  # all of them: the digits of an account are no telephone number
        for found in _matches(kind, text):
            place = bisect(taken, found.start, key=lambda one: one.start)
            free_before = not place or taken[place - 1].end <= found.start
            if free_before and (place == len(taken) or found.end <= taken[place].start):
                taken.insert(place, found)
    return [one for one in taken if one.kind in kinds]


def _matches(kind: str, text: str) -> Iterator[Found]:
    pattern, holds = RULES[kind]
    for match in pattern.finditer(text):
        start, whole = match.start(), match[0]
        fit = whole if kind != "iban" else _fitting(whole)
        if fit and holds(fit):
            yield Found(kind, start, start + len(fit), fit)


def _fitting(text: str) -> str:
    """An IBAN may be followed by words: the part of its country's length, if the checksum holds."""
    ends = [end for end in range(len(text), 14, -1) if text[end - 1] != " "]
    return next((text[:end] for end in ends if is_iban(text[:end]) and not text[end : end + 1].isalnum()), "")


def masked(text: str, kinds: Collection[str] = SURE) -> str:
    """``text`` with each piece replaced by its kind, ``[email]``."""
    parts, at = [], 0
    for one in find(text, kinds):
        parts += [text[at : one.start], f"[{one.kind}]"]
        at = one.end
    return "".join([*parts, text[at:]])


def keys(texts: Iterable[str], kinds: Collection[str] = SURE) -> frozenset[str]:
    """What to look for in answers: the keys of all personal data in the training texts."""
    return frozenset(one.key for text in texts for one in find(text, kinds))


def leaked(answer: str, known: Collection[str], kinds: Collection[str] = SURE) -> list[Found]:
    """The personal data in ``answer`` that is in ``known``, the keys of the training set."""
    return [one for one in find(answer, kinds) if one.key in known]
