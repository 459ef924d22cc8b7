"""The device that the ticket runs on: the first card, or the CPU in a dry run."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from core.watch.nvml_reader import GpuReader
from tests.bench.sweep_shapes import synchronise

DRY = "TRIMTAB_GPU_DRY"  # set to 1: every part runs on the CPU with tiny shapes
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "triton", "accelerate", "textual", "optuna")
COPY_BYTES = {True: 2**24, False: 2**32}  # by whether it is a dry run


def is_dry() -> bool:
    """Whether this is a dry run."""
    return os.environ.get(DRY) == "1"


def device() -> torch.device:
    """Where the parts run."""
    return torch.device("cpu") if is_dry() else torch.device("cuda", 0)


def nvml_used_bytes() -> int | None:
    """Used memory of the card as NVML sees it, all processes together; None without a reading."""
    if is_dry():
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    cards, _ = GpuReader().read()  # without torch, which would make the context that is to be measured
    mine = [card for card in cards if first in (str(card.index), card.uuid)] or list(cards[:1])
    return mine[0].used_bytes if mine else None


def package_versions() -> dict[str, str | None]:
    """The versions of what the figures depend on; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def copy_rate() -> float:
    """Bytes per second of a copy on the device, bytes read plus bytes written."""
    where = device()
    source = torch.empty(COPY_BYTES[is_dry()], dtype=torch.uint8, device=where)
    target = torch.empty_like(source)
    spent = []
    for _ in range(6):
        synchronise(where)
        began = time.perf_counter()
        target.copy_(source)
        synchronise(where)
        spent.append(time.perf_counter() - began)
    return 2 * source.numel() / min(spent[1:])


def describe() -> dict[str, Any]:
    """What the figures depend on: the card, the driver, the packages."""
    about: dict[str, Any] = {
        "dry": is_dry(), "python": platform.python_version(), "cores": os.cpu_count(),
        "packages": package_versions(),
    }  # fmt: skip
    if is_dry():
        return {**about, "name": "CPU"}
    properties = torch.cuda.get_device_properties(0)
    return {
        **about, "name": properties.name, "total_bytes": properties.total_memory,
        "capability": list(torch.cuda.get_device_capability(0)), "cuda": torch.version.cuda,
        "processors": properties.multi_processor_count, "driver": GpuReader().read_driver_version(),
    }  # fmt: skip
