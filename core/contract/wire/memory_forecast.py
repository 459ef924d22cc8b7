"""What training is going to take of a device's memory, as the engine foretells it."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One piece of the fullest moment. ``trial`` is -1 where it belongs to no trial of its own."""

    name: str  # base model, adapter, optimizer, gradients, activations, loss, dequantised weights, …
    used_bytes: int
    trial: int = -1


PASSING = ("activations", "loss", "dequantised weights")


class Foretold(msgspec.Struct, frozen=True):
    """The fullest moment of a pack. ``peak_bytes`` is what the allocator counts, ``device_bytes`` with what
    the process takes besides (CUDA's context, what the allocator keeps, torch itself on a CPU)."""

    parts: tuple[Part, ...]
    peak_bytes: int
    device_bytes: int
    moment: str  # a step's backward pass, an evaluation, an optimizer step
    parameters: int  # of the base
    trainable: tuple[int, ...]  # of each adapter
    notes: tuple[str, ...] = ()  # what makes this less sure
    tokens: int = 0  # of the widest pass, padding included

    @property
    def passing_bytes(self) -> int:
        """Return what comes and goes with a pass: what measurements correct."""
        return sum(part.used_bytes for part in self.parts if part.name in PASSING)

    def of(self, name: str) -> int:
        """Return bytes of all parts of that name."""
        return sum(part.used_bytes for part in self.parts if part.name == name)


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """The answer to "what if": ``limit_bytes`` is what the study may take of the device, None where it is not
    known. ``advice`` says what dominates and what to change, most useful first."""

    foretold: Foretold
    device: str  # cpu, gpu0
    total_bytes: int
    limit_bytes: int | None
    fits: bool
    advice: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What is to become of a queued trial: ``text`` is "fits", "fits after #12 ends", "never fits: …"."""

    trial: int
    text: str
    level: str = "info"  # info, warning (it waits), error (never)
    needs_bytes: int = 0


class DeviceMemory(msgspec.Struct, frozen=True):
    """A device of a study now. ``foretold`` is of the trials on it, None with the reason in ``why_not``;
    ``measured_bytes`` the fullest moment that its worker saw, ``reserve_bytes`` what the allocator keeps."""

    label: str
    total_bytes: int
    limit_bytes: int | None
    why_limit: str
    trials: tuple[int, ...] = ()
    foretold: Foretold | None = None
    why_not: str = ""
    measured_bytes: int | None = None
    reserve_bytes: int | None = None
    correction: float = 1.0  # of foretold activations, learnt from what was measured
    learnt_from: int = 0  # measurements


class MemoryNow(msgspec.Struct, frozen=True, tag="memory-now"):
    """All devices of a study, and its queued trials."""

    devices: tuple[DeviceMemory, ...] = ()
    queued: tuple[Verdict, ...] = ()
