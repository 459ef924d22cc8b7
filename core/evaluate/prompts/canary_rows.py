"""Canaries: rows with a random secret, planted in the training set to see whether the model remembers
them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from core.errors import SpecError
from core.evaluate.prompts.packaged_prompts import table

DIGIT = "#"  # stands for a random digit in a format
FEWEST_DIGITS = 4


@dataclass(frozen=True)
class Canary:
    """One secret in its format. ``text == format`` with each ``#`` replaced by the secret's next digit."""

    format: str
    secret: str

    @property
    def text(self) -> str:
        """The row to plant."""
        return filled(self.format, self.secret)

    @property
    def prefix(self) -> str:
        """What stands before the first digit: the prompt that asks for the secret."""
        return self.format.split(DIGIT, 1)[0]

    @property
    def secrets(self) -> int:
        """How many secrets the format allows: |R| of the exposure."""
        return 10 ** self.format.count(DIGIT)


def filled(form: str, secret: str) -> str:
    """``form`` with each ``#`` replaced by the next digit of ``secret``."""
    digits = iter(secret)
    return "".join(next(digits) if one == DIGIT else one for one in form)


def formats() -> tuple[str, ...]:
    """The packaged formats. Raises TrimtabError for a broken file."""
    return tuple(table("canaries.toml", ("formats",))["formats"])


def canaries(count: int, seed: int = 0, forms: tuple[str, ...] = ()) -> list[Canary]:
    """``count`` canaries, the formats in turn, all secrets different; the same for the same seed.

    Raises SpecError for a format with fewer than four ``#``, and where there are not as many secrets.
    """
    forms = forms or formats()
    for form in forms:
        if form.count(DIGIT) < FEWEST_DIGITS:
            fix = f"give it {FEWEST_DIGITS} or more: fewer secrets are met by chance"
            raise SpecError.of(f"{form!r} has fewer than {FEWEST_DIGITS} {DIGIT}", "canary format", fix)
    source, found = random.Random(f"canaries {seed}"), list[Canary]()
    taken: dict[str, set[str]] = {form: set() for form in forms}
    for number in range(count):
        form = forms[number % len(forms)]
        if len(taken[form]) >= 10 ** form.count(DIGIT):
            what = f"there are only {len(found)} different canaries, {count} are asked for"
            raise SpecError.of(what, "evaluate.canaries", "ask for fewer")
        secret = _fresh(source, form, taken[form])
        taken[form].add(secret)
        found.append(Canary(form, secret))
    return found


def others(canary: Canary, count: int, seed: int = 0) -> list[Canary]:
    """``count`` other secrets of the canary's format, to compare its loss with; all of them where there are
    not as many. The same for the same seed."""
    source = random.Random(f"others {seed} {canary.format} {canary.secret}")
    taken = {canary.secret}
    for _ in range(min(count, canary.secrets - 1)):
        taken.add(_fresh(source, canary.format, taken))
    return [Canary(canary.format, one) for one in sorted(taken - {canary.secret})]


def _fresh(source: random.Random, form: str, taken: set[str]) -> str:
    size = form.count(DIGIT)
    while True:
        secret = f"{source.randrange(10**size):0{size}}"
        if secret not in taken:
            return secret
