"""Current and peak memory of a worker: the CUDA allocator's count, or the process's RSS on a CPU."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

ALONE = "memory/alone_bytes"  # memory of a trial that trains alone

_highest: dict[torch.device, int] = {}  # the peak before the allocator's was last reset
_shared: list[dict[torch.device, dict[str, float]]] = []  # the readings within ``share_readings``


def read_metrics(device: torch.device) -> dict[str, float]:
    """The metrics memory/used_bytes and memory/peak_bytes of this worker."""
    if _shared and device in _shared[-1]:
        return dict(_shared[-1][device])
    metrics = _read_metrics(device)
    if _shared:
        _shared[-1][device] = metrics
    return dict(metrics)


@contextlib.contextmanager
def share_readings() -> Iterator[None]:
    """Within, a device's metrics are read once: all trials of a round report the same reading."""
    _shared.append({})
    try:
        yield
    finally:
        _shared.pop()


def _read_metrics(device: torch.device) -> dict[str, float]:
    if device.type == "cuda":
        # the nested form: torch.cuda.memory_allocated sorts and flattens all 200 statistics for one of them
        allocated = torch.cuda.memory_stats_as_nested_dict(device).get("allocated_bytes", {}).get("all", {})
        used, peak = allocated.get("current", 0), max(allocated.get("peak", 0), _highest.get(device, 0))
    else:
        used = psutil.Process().memory_info().rss
        peak = max(_read_peak_rss(), _highest.get(device, 0))
    return {"memory/used_bytes": float(used), "memory/peak_bytes": float(max(used, peak))}


def read_recent_peak(device: torch.device) -> int:
    """Peak memory of this worker since the last call of ``read_peak``, bytes.

    After an out-of-memory error this is where it happened; what is held afterwards says nothing about it.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _read_peak_rss()


def release_unused(device: torch.device) -> None:
    """Release what loading left behind. On a CPU the memory that malloc keeps would count as used, and would
    hide what is allocated later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class PeakMemory:
    """Peak use since the last call: bytes of this worker, and bytes that the device had free then."""

    used_bytes: int
    free_bytes: int
    total_bytes: int
    reserve_bytes: int  # the part of the free bytes that the allocator keeps reserved


def read_peak(device: torch.device) -> PeakMemory:
    """Read the peak since the last call, and reset it."""
    if device.type != "cuda":
        return _read_fullest_rss(device)
    peak = torch.cuda.max_memory_allocated(device)
    cached = torch.cuda.max_memory_reserved(device) - peak
    free, total = torch.cuda.mem_get_info(device)
    _highest[device] = max(_highest.get(device, 0), peak)
    torch.cuda.reset_peak_memory_stats(device)
    return PeakMemory(peak, free + max(0, cached), total, max(0, cached))


def _read_fullest_rss(device: torch.device) -> PeakMemory:
    memory, peak = psutil.virtual_memory(), _read_peak_rss()
    lower = max(0, peak - psutil.Process().memory_info().rss)
    _highest[device] = max(_highest.get(device, 0), peak)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc_pid_clear_refs(5): resets the peak
    return PeakMemory(peak, max(0, memory.available - lower), memory.total, 0)


def _read_peak_rss() -> int:
    """The peak RSS of this process. On Linux getrusage may report its parent's, from before exec."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free(device: torch.device) -> None:
    """Release unused memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
