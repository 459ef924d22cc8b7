"""Part a: ``pytest -m gpu``, one row for each test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.part_record import PartRecord

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = (
    *("-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "--no-header", "--tb=short"),
    *("--confcutdir", "tests/gpu"),  # what all other tests share needs packages that no parcel has
    "tests/gpu/test_on_card.py",
)


class Listener:
    """Keeps the outcome of every test as soon as it is known."""

    def __init__(self, record: PartRecord) -> None:
        self._record, self.collected = record, 0

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what passed in an earlier run of this part."""
        self.collected = len(items)
        rows = self._record.content["rows"]
        items[:] = [item for item in items if rows.get(item.name, {}).get("outcome") != "passed"]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test's call counts; of its set-up only that it failed or was skipped."""
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.rpartition("::")[2]
        row = {"outcome": report.outcome, "test_s": round(report.duration, 3)}
        if report.outcome != "passed":
            row["why"] = str(report.longrepr)[-3000:]
        self._record.content["rows"][name] = row
        self._record.write()


def run(record: PartRecord) -> None:
    """In this process: its libraries are loaded."""
    os.chdir(ROOT)
    listener = Listener(record)
    code = pytest.main([*OPTIONS], plugins=[listener])
    record.about(exit_code=int(code))
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        record.note(f"pytest ended with exit code {int(code)}: {listener.collected} tests were to run")
    record.close(listener.collected or 1)
