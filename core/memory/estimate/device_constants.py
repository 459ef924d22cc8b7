"""A device's constants: what a process takes besides its tensors. Calibrated once on it, and kept."""

from __future__ import annotations

import msgspec

from core.contract.events.event_types import Device as Card

MIB = 2**20


class Device(msgspec.Struct, frozen=True):
    """``kind`` is cpu or cuda. ``workspace_bytes`` are the allocator's for cuBLAS; ``context_bytes`` lie
    outside of it; ``slack`` is what the allocator reserves and does not use, as a part of the peak."""

    kind: str = "cuda"
    name: str = ""
    total_bytes: int = 0
    free_bytes: int = 0
    workspace_bytes: int = 32 * MIB  # Hopper's; others take 8 MiB
    context_bytes: int = 520 * MIB
    slack: float = 0.02
    copies: bool = False  # checkpoints are copied into this memory before they are written

    def whole(self, peak_bytes: int) -> int:
        """What the process takes of the device when its tensors take ``peak_bytes`` at most."""
        return round(self.context_bytes + peak_bytes * (1 + self.slack))


def cpu(total_bytes: int = 0, free_bytes: int = 0) -> Device:
    """The host. A process with torch, transformers and PEFT loaded takes about 600 MiB of it."""
    return Device("cpu", "cpu", total_bytes, free_bytes, 0, 600 * MIB, 0.05, copies=True)


def card(reading: Card) -> Device:
    """A GPU as it was read."""
    total, used = reading.total_bytes or 0, reading.used_bytes or 0
    return Device("cuda", reading.name, total, max(0, total - used))
