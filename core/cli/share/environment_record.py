"""The versions and the machine of this moment, for bundles and their reruns."""

from __future__ import annotations

import time
from typing import Any

from core.store.bundle import package_versions
from core.watch.nvml_reader import GpuReader


def here(threads: int | None) -> dict[str, Any]:
    """As ``core.store.bundle.package_versions`` has them; ``threads`` as the study asks for them."""
    reader = GpuReader()
    devices, driver = reader.read()[0], reader.driver()
    reader.close()
    return package_versions.versions(devices, driver, threads, time.time())
