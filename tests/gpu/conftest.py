"""Benches for the tests that run on a card, or on the CPU in a dry run of the ticket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core.train.base.base_model import Base
from core.train.introspection.trial_introspection import InspectionSchedule
from tests.gpu import bases, card
from tests.gpu.packs import EVERY_STEP, PackRun, TrialShape, random_rows
from tests.gpu.part_record import CaseSkippedError

LENGTHS = [24, 48, 31, 40, 17, 48, 36, 29] * 2  # of different length: padding must change nothing
SHAPE = {True: "dry", False: "tiny"}
STEPS = {True: 4, False: 6}


@pytest.fixture(scope="session")
def where() -> torch.device:
    """The card; the CPU in a dry run."""
    if not card.is_dry() and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return card.device()


@pytest.fixture(autouse=True)
def only_training(monkeypatch):
    """The look inside a model changes nothing of the training, and has tests of its own."""
    monkeypatch.setattr(InspectionSchedule, "due", lambda *told: False)


@pytest.fixture
def base_of(where) -> Callable[..., Base]:
    """A small base in a precision; the test is skipped where its library is missing."""

    def make(precision: str) -> Base:
        try:
            return bases.random_base(SHAPE[card.is_dry()], precision, where)
        except CaseSkippedError as reason:
            pytest.skip(str(reason))

    return make


@pytest.fixture
def pack_of(tmp_path) -> Iterator[Callable[..., PackRun]]:
    """A pack of the given trials on a base; it is taken off the base at the end, or before the next one."""
    opened: list[PackRun] = []

    def make(
        base: Base,
        trials: Sequence[TrialShape],
        folder: Path | None = None,
        lengths: Sequence[int] = LENGTHS,
        **train: Any,
    ) -> PackRun:
        while opened:
            opened.pop().close()
        rows = random_rows(lengths, base.vocabulary)
        place = folder or tmp_path / f"pack-{len(list(tmp_path.iterdir()))}"
        knobs = {"steps": STEPS[card.is_dry()], "learning_rate": 5e-3, **train}
        opened.append(PackRun(base, trials, rows, place, EVERY_STEP, **knobs))
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()
