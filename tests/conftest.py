"""What all tests share: threads that do not fight over cores, and an order that ends even."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import zygote
from tests.costly_cases import find_reason

# Two pytest workers and the processes that they start share a few cores. A pool of threads in each of them
# spins on cores that others need; set before numpy or torch is imported, and inherited by every process.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Some machines forbid bytecode files: then each of several hundred processes compiles all of trimtab anew,
# 0.6 s for an engine. Only our own are written, beside the sources; other packages come with theirs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False  # and the tests with their assertions rewritten, a third of a collection


# Garbage collections were an eighth of the tests of the console. What is loaded while tests are collected
# stays; afterwards they come more seldom than after Python's 700 new objects.
gc.disable()
OBJECTS_BETWEEN_COLLECTIONS = (50_000, 20, 100)

# The disk syncs of SQLite and of journals are a twentieth of a run; a file system in memory has none.
MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 << 30
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

zygote.own()

# A machine that is busy is no fault of the code: no test fails for the time that it takes.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True, specname="pytest_collection_modifyitems")
def pytest_mark_costly_cases(items: list[pytest.Item]) -> None:
    """Before ``-m`` chooses by marks."""
    for item in items:
        if find_reason(item.nodeid):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real processes go first: the longest would else be all that one worker has at the end."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The controller of several workers has seen no picture being used, and syrupy would compare each picture
    of each folder with each test, for forty seconds, to say so."""
    if getattr(session.config.option, "dist", "no") != "no" and "PYTEST_XDIST_WORKER" not in os.environ:
        syrupy: Any = session.config
        syrupy._syrupy._collected_items, syrupy._syrupy._selected_items = set(), {}


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What collecting loaded stays: garbage collections need not walk over it a hundred times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
    gc.enable()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that a test has started have imported their libraries already (tests/zygote.py)."""
    zygote.ready("worker")
    monkeypatch.setattr(subprocess, "Popen", zygote.Popen)
