"""What a worker holds now and held at most: the CUDA allocator's word, or the process's on a CPU."""

from __future__ import annotations

import resource
import sys

import psutil
import torch


def readings(device: torch.device) -> dict[str, float]:
    """memory/used_bytes and memory/peak_bytes of this worker."""
    if device.type == "cuda":
        used, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    else:
        used = psutil.Process().memory_info().rss
        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"memory/used_bytes": float(used), "memory/peak_bytes": float(max(used, peak))}
