"""A study's journal with boards, limits and a failure, and a report on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.store.report.report_data import Report, gather
from tests.tui.scored import scored_study

VERSIONS = {"python": "3.11.7", "cpu": "a cpu", "threads": 2, "gpus": [], "packages": {"torch": "2.13.0"}}


@pytest.fixture
def events(tmp_path) -> list[e.Event]:
    """Five trials: three complete, one pruned, one failed; the best is number 4. Its data is a file."""
    rows = tmp_path / "train.jsonl"
    rows.write_text('{"text": "a"}\n' * 7)
    first, *rest = scored_study(ends=["complete", "pruned", "complete", "failed", "complete"])
    spec = {**first.spec, "data": {**first.spec["data"], "source": str(rows)}}
    return [replace(first, spec=spec, folder=str(tmp_path / "study")), *rest]


@pytest.fixture
def report(events) -> Callable[..., Report]:
    """The report on ``events``, or on those given."""

    def make(found: list[e.Event] | None = None, trial: int | None = None, **versions: Any) -> Report:
        known = events if found is None else found
        return gather(known, known[0].study, trial, {**VERSIONS, **versions}, 1_800_000_000.0)

    return make
