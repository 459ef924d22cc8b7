"""Tells errors of memory and of the device from those of a trial."""

from __future__ import annotations

import re

import torch

# Libraries that allocate for themselves, the driver and the host's allocator raise plain RuntimeErrors or
# torch.AcceleratorErrors. After a failed allocation the device can still be used.
TEXTS = re.compile(
    r"(CU|HIP|ROC)[A-Z]+_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)"
    r"|(CUDA|HIP)( driver)? error: out of memory"
    r"|DefaultCPUAllocator: (can't allocate|not enough) memory"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: in torch, in a library such as cuBLAS, or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and TEXTS.search(str(error)) is not None


def is_device_failure(error: BaseException) -> bool:
    """Whether the device itself failed, so that no trial can continue on it."""
    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)
