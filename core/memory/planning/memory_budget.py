"""How much of a device a study may take."""

from __future__ import annotations

from dataclasses import dataclass

from core.contract.text.byte_sizes import words
from core.errors import TrimtabError
from core.memory.estimate.device_constants import Device

MARGIN = 0.03  # of the device, kept back where nobody named a limit: others' needs waver
LEAST_MARGIN = 256 * 2**20


@dataclass(frozen=True)
class Limit:
    """``bytes_`` None: not known, and ``why`` says so."""

    bytes_: int | None
    why: str


def limit(asked: int | None, device: Device, ours_bytes: int = 0) -> Limit:
    """The limit on ``device``: what was asked for (resources.memory, bytes), and never more than is free
    or ours already, less a margin."""
    if not device.total_bytes:
        return Limit(asked, "resources.memory" if asked else "the device does not say how much it has")
    margin = max(LEAST_MARGIN, int(MARGIN * device.total_bytes)) if asked is None else 0
    there = max(0, min(device.total_bytes, device.free_bytes + ours_bytes) - margin)
    taken = max(0, device.total_bytes - device.free_bytes - ours_bytes)
    if asked is not None and asked <= there:
        return Limit(asked, f"resources.memory = {words(asked)}")
    why = f"{words(device.total_bytes)}" + (f", {words(taken)} held by others" if taken >= margin else "")
    why += f", {words(margin)} kept back" if margin else f" of resources.memory = {words(asked or 0)}"
    return Limit(there, why)


def check(asked: int | None, device: Device, base_bytes: int, where: str) -> None:
    """Raises TrimtabError for a limit that not even the base model fits under."""
    if asked is None:
        return
    if asked < device.context_bytes:
        raise TrimtabError.of(
            f"memory = {words(asked)} is below what a process takes before it loads anything "
            f"({words(device.context_bytes)})",
            where,
            'write more, or "auto" for what is free',
        )
    if asked < device.whole(base_bytes):
        raise TrimtabError.of(
            f"memory = {words(asked)} does not hold the base model, "
            f"which takes {words(device.whole(base_bytes))}",
            where,
            'write more, take model.precision = "nf4", or a smaller base',
        )
