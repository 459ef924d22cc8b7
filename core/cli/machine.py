"""The versions and the machine of this moment, for bundles and their reruns."""

from __future__ import annotations

import time
from typing import Any

from core.store import versions
from core.watch.gpu import GpuReader


def here(threads: int | None) -> dict[str, Any]:
    """As ``core.store.versions`` has them; ``threads`` as the study asks for them."""
    reader = GpuReader()
    devices, driver = reader.read()[0], reader.driver()
    reader.close()
    return versions.versions(devices, driver, threads, time.time())
