"""Copies several small tensors to a device in one transfer, without waiting for the device."""

from __future__ import annotations

import torch

ALIGNED = 16  # bytes


def copy_to_device(device: torch.device, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """CPU tensors as tensors on ``device``. On CUDA they are views of one buffer, copied from pinned memory:
    an ordinary copy waits until the device has done all that it was given before."""
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // ALIGNED) * ALIGNED)
    # the caching allocator of pinned memory gives a block away again only after its copies are done
    buffer = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=True)
    for tensor, start, size in zip(tensors, starts, sizes, strict=False):
        buffer[start : start + size].copy_(tensor.contiguous().view(-1).view(torch.uint8))
    moved = buffer.to(device, non_blocking=True)
    return [
        moved[start : start + size].view(tensor.dtype).view(tensor.shape)
        for tensor, start, size in zip(tensors, starts, sizes, strict=False)
    ]
