"""Matrices of cases of which ``make test`` runs the first ones and ``make test-all`` every one.

A case is left to ``make test-all`` only where an earlier one of the same matrix tests the same promise:
further sizes, families and seeds, never another behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def rest_slow(cases: Iterable[Any], first: int = 1) -> list[Any]:
    """Return the ``cases`` for ``pytest.mark.parametrize``, with all but the ``first`` ones marked slow. A
    tuple holds the values of several names; a single value that is a tuple is given as a tuple of one."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=() if place < first else pytest.mark.slow
        )
        for place, case in enumerate(cases)
    ]
