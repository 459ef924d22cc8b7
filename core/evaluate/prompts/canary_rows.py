"""Canaries: rows with a random secret, planted in the training set to test whether the model remembers
them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from core.errors import SpecError
from core.evaluate.prompts.packaged_prompts import load_table

DIGIT = "#"  # stands for a random digit in a format
FEWEST_DIGITS = 4
REPEATS = (1, 4, 16)  # times that canaries are planted, in turn
LARGEST_SHARE = 0.05  # of the training rows that repeats may make up


@dataclass(frozen=True)
class Canary:
    """One secret in its format. ``text`` is ``format`` with each ``#`` replaced by the secret's next
    digit."""

    format: str
    secret: str

    @property
    def text(self) -> str:
        """The row to plant."""
        return fill(self.format, self.secret)

    @property
    def prefix(self) -> str:
        """The text before the first digit: the prompt that asks for the secret."""
        return self.format.split(DIGIT, 1)[0]

    @property
    def secrets(self) -> int:
        """The number of secrets that the format allows: |R| of the exposure."""
        result: int = 10 ** self.format.count(DIGIT)
        return result


def plan_repeats(count: int, rows: int) -> list[int]:
    """Return how often each of ``count`` canaries is planted among ``rows`` training rows: ``REPEATS`` in
    turn, less where they would be more than ``LARGEST_SHARE`` of the rows, and at least once."""
    for most in reversed(REPEATS):
        planned = [min(most, REPEATS[number % len(REPEATS)]) for number in range(count)]
        if sum(planned) <= LARGEST_SHARE * rows:
            return planned
    return [1] * count


def fill(form: str, secret: str) -> str:
    """Return ``form`` with each ``#`` replaced by the next digit of ``secret``."""
    digits = iter(secret)
    return "".join(next(digits) if character == DIGIT else character for character in form)


def load_formats() -> tuple[str, ...]:
    """Return the packaged formats. Raises TrimtabError for a broken file."""
    return tuple(load_table("canaries.toml", ("formats",))["formats"])


def make_canaries(count: int, seed: int = 0, forms: tuple[str, ...] = ()) -> list[Canary]:
    """Return ``count`` canaries with different secrets, the formats in turn; the same for the same seed.

    Raises SpecError for a format with fewer than four ``#``, and if there are too few secrets.
    """
    forms = forms or load_formats()
    for form in forms:
        if form.count(DIGIT) < FEWEST_DIGITS:
            fix = f"use {FEWEST_DIGITS} or more, so that no secret is guessed by chance"
            raise SpecError.of(f"{form!r} has fewer than {FEWEST_DIGITS} {DIGIT}", "canary format", fix)
    source, planted = random.Random(f"canaries {seed}"), list[Canary]()
    used: dict[str, set[str]] = {form: set() for form in forms}
    for number in range(count):
        form = forms[number % len(forms)]
        if len(used[form]) >= 10 ** form.count(DIGIT):
            message = f"the formats allow only {len(planted)} different canaries, not {count}"
            raise SpecError.of(message, "evaluate.canaries", "set fewer")
        secret = _draw_unused(source, form, used[form])
        used[form].add(secret)
        planted.append(Canary(form, secret))
    return planted


def make_other_secrets(canary: Canary, count: int, seed: int = 0) -> list[Canary]:
    """Return ``count`` other secrets of the canary's format for comparison; all of them if there are fewer.
    The same for the same seed."""
    source = random.Random(f"others {seed} {canary.format} {canary.secret}")
    used = {canary.secret}
    for _ in range(min(count, canary.secrets - 1)):
        used.add(_draw_unused(source, canary.format, used))
    return [Canary(canary.format, secret) for secret in sorted(used - {canary.secret})]


def _draw_unused(source: random.Random, form: str, used: set[str]) -> str:
    size = form.count(DIGIT)
    while True:
        secret = f"{source.randrange(10**size):0{size}}"
        if secret not in used:
            return secret
