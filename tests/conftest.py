"""What all tests share: threads that do not fight over cores, and an order that ends even."""

from __future__ import annotations

import gc
import os

import hypothesis
import pytest

from tests import zygote

# Two pytest workers and the processes that they start share a few cores. A pool of threads in each of them
# spins on cores that others need; set before numpy or torch is imported, and inherited by every process.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Some machines forbid bytecode files: then each of several hundred processes compiles all of trimtab anew,
# 0.6 s for an engine. Only our own are written, beside the sources; other packages come with theirs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


zygote.own()

# A machine that is busy is no fault of the code: no test fails for the time that it takes.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real processes go first: the longest would else be all that one worker has at the end."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What collecting loaded stays: garbage collections need not walk over it a hundred times."""
    gc.collect()
    gc.freeze()
