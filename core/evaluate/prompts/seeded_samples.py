"""Draws samples in an order that the study's seed fixes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def draw_seeded_sample(pool: Sequence[T], count: int, seed: int, name: str) -> list[T]:
    """Return ``count`` of ``pool``, in an order fixed by ``seed`` and ``name``."""
    order = list(pool)
    random.Random(f"{name} {seed}").shuffle(order)
    return order[:count]
