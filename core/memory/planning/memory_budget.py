"""The memory limit of a study on a device."""

from __future__ import annotations

from dataclasses import dataclass

from core.contract.text.byte_sizes import format_bytes
from core.errors import TrimtabError
from core.memory.estimate.device_constants import Device

MARGIN = 0.03  # of the device, reserved if no limit is set, since other processes' usage varies
LEAST_MARGIN = 256 * 2**20


@dataclass(frozen=True)
class Limit:
    """A limit in bytes and its reason; ``bytes_`` is None if it is unknown."""

    bytes_: int | None
    why: str


def find_limit(requested: int | None, device: Device, ours_bytes: int = 0) -> Limit:
    """The limit on ``device``: the ``requested`` bytes (resources.memory), but at most what is free or used
    by this study already, minus a margin."""
    if not device.total_bytes:
        return Limit(requested, "resources.memory" if requested else "the device does not report its memory")
    margin = max(LEAST_MARGIN, int(MARGIN * device.total_bytes)) if requested is None else 0
    available = max(0, min(device.total_bytes, device.free_bytes + ours_bytes) - margin)
    taken_bytes = max(0, device.total_bytes - device.free_bytes - ours_bytes)
    if requested is not None and requested <= available:
        return Limit(requested, f"resources.memory = {format_bytes(requested)}")
    others_text = f", {format_bytes(taken_bytes)} used by other processes" if taken_bytes >= margin else ""
    why = f"{format_bytes(device.total_bytes)}{others_text}"
    why += (
        f", {format_bytes(margin)} reserved"
        if margin
        else f", less than resources.memory = {format_bytes(requested or 0)}"
    )
    return Limit(available, why)


def check(requested: int | None, device: Device, base_bytes: int, location: str) -> None:
    """Raises TrimtabError for a limit that not even the base model fits within."""
    if requested is None:
        return
    if requested < device.context_bytes:
        used = format_bytes(device.context_bytes)
        raise TrimtabError.of(
            f"memory = {format_bytes(requested)} is less than an empty process uses ({used})",
            location,
            'set more, or "auto" for all free memory',
        )
    if requested < device.add_process_bytes(base_bytes):
        raise TrimtabError.of(
            f"memory = {format_bytes(requested)} is too small for the base model, "
            f"which needs {format_bytes(device.add_process_bytes(base_bytes))}",
            location,
            'set more, set model.precision = "nf4", or use a smaller base',
        )
