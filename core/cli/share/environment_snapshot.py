"""Records the current package versions and machine for bundles and reruns."""

from __future__ import annotations

import time
from typing import Any

from core.store.bundle import package_versions
from core.watch.nvml_reader import GpuReader


def record_environment(threads: int | None) -> dict[str, Any]:
    """Return the record of ``core.store.bundle.package_versions``; ``threads`` is the study's setting."""
    reader = GpuReader()
    devices, driver = reader.read()[0], reader.read_driver_version()
    reader.close()
    return package_versions.read_versions(devices, driver, threads, time.time())
