"""What a worker holds now and held at most: the CUDA allocator's word, or the process's on a CPU."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

ALONE = "memory/alone_bytes"  # what a trial takes with nobody beside it

_highest: dict[torch.device, int] = {}  # before the allocator's peak was last reset


def readings(device: torch.device) -> dict[str, float]:
    """memory/used_bytes and memory/peak_bytes of this worker."""
    if device.type == "cuda":
        used = torch.cuda.memory_allocated(device)
        peak = max(torch.cuda.max_memory_allocated(device), _highest.get(device, 0))
    else:
        used = psutil.Process().memory_info().rss
        peak = max(_peak_rss(), _highest.get(device, 0))
    return {"memory/used_bytes": float(used), "memory/peak_bytes": float(max(used, peak))}


def lately(device: torch.device) -> int:
    """The most that this worker held since ``fullest`` was last asked, bytes: where memory ended, it ended
    there. What is held after the failure says nothing any more."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _peak_rss()


def settle(device: torch.device) -> None:
    """Give back what loading left behind: on a CPU what malloc keeps would count as held, and hide what is
    allocated later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Fullest:
    """The fullest moment since the last call: bytes of this worker, and what the device had left."""

    used_bytes: int
    free_bytes: int
    total_bytes: int
    reserve_bytes: int  # of the free ones: what the allocator keeps


def fullest(device: torch.device) -> Fullest:
    """Read the fullest moment and begin anew."""
    if device.type != "cuda":
        return _fullest_rss(device)
    peak = torch.cuda.max_memory_allocated(device)
    cached = torch.cuda.max_memory_reserved(device) - peak
    free, total = torch.cuda.mem_get_info(device)
    _highest[device] = max(_highest.get(device, 0), peak)
    torch.cuda.reset_peak_memory_stats(device)
    return Fullest(peak, free + max(0, cached), total, max(0, cached))


def _fullest_rss(device: torch.device) -> Fullest:
    memory, peak = psutil.virtual_memory(), _peak_rss()
    lower = max(0, peak - psutil.Process().memory_info().rss)
    _highest[device] = max(_highest.get(device, 0), peak)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc_pid_clear_refs(5): the peak begins anew
    return Fullest(peak, max(0, memory.available - lower), memory.total, 0)


def _peak_rss() -> int:
    """The process's own: what getrusage says on Linux may be its parent's, from before exec."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free(device: torch.device) -> None:
    """Give memory back that nobody holds."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
