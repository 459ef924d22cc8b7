"""Memory estimates of training on a device, as the engine computes them."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One part of the memory peak. ``trial`` is -1 if it belongs to no single trial."""

    name: str  # base model, adapter, optimizer, gradients, activations, loss, dequantised weights, …
    used_bytes: int
    trial: int = -1


PASSING = ("activations", "loss", "dequantised weights")


class PackEstimate(msgspec.Struct, frozen=True):
    """The estimated memory peak of a pack.

    ``peak_bytes`` is the allocator's count; ``device_bytes`` includes what the process uses besides (CUDA's
    context, the allocator's reserve, torch itself on a CPU).
    """

    parts: tuple[Part, ...]
    peak_bytes: int
    device_bytes: int
    moment: str  # a step's backward pass, an evaluation, an optimizer step
    parameters: int  # of the base
    trainable: tuple[int, ...]  # of each adapter
    notes: tuple[str, ...] = ()  # reasons for uncertainty
    tokens: int = 0  # of the widest pass, padding included

    @property
    def passing_bytes(self) -> int:
        """The memory that is only used during a pass, which measurements correct."""
        return sum(part.used_bytes for part in self.parts if part.name in PASSING)

    def sum_bytes(self, name: str) -> int:
        """Return the bytes of all parts of that name."""
        return sum(part.used_bytes for part in self.parts if part.name == name)


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """The answer to "what if".

    ``limit_bytes`` is the memory that the study may use on the device, None if unknown. ``advice`` names the
    largest part and what to change, the most useful first.
    """

    foretold: PackEstimate
    device: str  # cpu, gpu0
    total_bytes: int
    limit_bytes: int | None
    fits: bool
    advice: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """When a queued trial will fit: ``text`` is "fits", "fits after #12 ends", "waits for a slot:
    …", "never fits: …"."""

    trial: int
    text: str
    level: str = "info"  # info, warning (it waits), error (never)
    needs_bytes: int = 0


class DeviceMemory(msgspec.Struct, frozen=True):
    """The present memory of one device of a study.

    ``foretold`` is the estimate for its trials, None with the reason in ``why_not``; ``measured_bytes`` the
    peak that its worker measured, ``reserve_bytes`` the allocator's reserve.
    """

    label: str
    total_bytes: int
    limit_bytes: int | None
    why_limit: str
    trials: tuple[int, ...] = ()
    foretold: PackEstimate | None = None
    why_not: str = ""
    measured_bytes: int | None = None
    reserve_bytes: int | None = None
    correction: float = 1.0  # factor of the estimated activations, learnt from measurements
    learnt_from: int = 0  # measurements


class MemoryNow(msgspec.Struct, frozen=True, tag="memory-now"):
    """All devices of a study, and its queued trials."""

    devices: tuple[DeviceMemory, ...] = ()
    queued: tuple[Verdict, ...] = ()
