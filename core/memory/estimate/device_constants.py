"""A device's memory constants: what a process uses besides its tensors. Calibrated once per device."""

from __future__ import annotations

import msgspec

from core.contract.events.event_types import Device as Card

MIB = 2**20
AMPERE = (8, 0)  # the compute capability from which cards multiply in bfloat16


class Device(msgspec.Struct, frozen=True):
    """Memory of a device.

    ``kind`` is cpu or cuda. ``workspace_bytes`` belong to the allocator, for cuBLAS; ``context_bytes`` lie
    outside it; ``slack`` is reserved but unused memory of the allocator, as a fraction of the peak. ``bf16``:
    whether it multiplies in bfloat16, as cards from Ampere on do.
    """

    kind: str = "cuda"
    name: str = ""
    total_bytes: int = 0
    free_bytes: int = 0
    workspace_bytes: int = 32 * MIB  # on Hopper; others use 8 MiB
    context_bytes: int = 520 * MIB
    slack: float = 0.02
    copies: bool = False  # whether checkpoints are copied into this memory before they are written
    bf16: bool = True

    @property
    def computes(self) -> str:
        """The type in which "auto" and quantised bases compute on it: bf16 or fp32."""
        return "bf16" if self.kind == "cuda" and self.bf16 else "fp32"

    def add_process_bytes(self, peak_bytes: int) -> int:
        """What the process uses on the device if its tensors peak at ``peak_bytes``."""
        return round(self.context_bytes + peak_bytes * (1 + self.slack))


def make_cpu(total_bytes: int = 0, free_bytes: int = 0) -> Device:
    """The host. A process with torch, transformers and PEFT loaded uses about 600 MiB."""
    return Device("cpu", "cpu", total_bytes, free_bytes, 0, 600 * MIB, 0.05, copies=True)


def make_card(reading: Card) -> Device:
    """The device of a GPU reading."""
    total, used = reading.total_bytes or 0, reading.used_bytes or 0
    bf16 = reading.capability is None or reading.capability >= AMPERE
    return Device("cuda", reading.name, total, max(0, total - used), bf16=bf16)
