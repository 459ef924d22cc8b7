"""Finds the device to plan for: the visible GPU with the least free memory, a described GPU, or the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

from core import paths
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.memory.estimate import device_constants
from core.memory.estimate.device_constants import Device


def make_device(gpu: str) -> Device:
    """Return a GPU of the size given by ``--gpu``. Raises SpecError."""
    try:
        total = byte_sizes.parse(gpu)
    except ValueError as error:
        raise SpecError.of(
            f"--gpu {sanitize(gpu, 40)!r} {error}", "command line", 'such as "24 GiB"'
        ) from error
    return Device("cuda", f"a GPU of {byte_sizes.format_bytes(total)}", total, total)


def choose_device(devices_setting: str | Sequence[int]) -> tuple[Device, int]:
    """Return the ``devices_setting`` GPU (as in resources.devices) with the least free memory, and how
    many there are; the CPU where there is none. Raises TrimtabError for a GPU that does not exist."""
    from core.daemon.placement import study_device_choice
    from core.watch.host_reader import HostReader
    from core.watch.nvml_reader import GpuReader

    reader = GpuReader()
    cards, why_none = reader.read()
    reader.close()
    slots = study_device_choice.choose_slots(
        devices_setting, cards, os.environ.get("CUDA_VISIBLE_DEVICES"), why_none
    )
    labels = {slot.label for slot in slots}
    usable = [card for card in cards if f"gpu{card.index}" in labels]
    if usable:
        least = min(usable, key=lambda device: (device.total_bytes or 0) - (device.used_bytes or 0))
        return device_constants.make_card(least), len(usable)
    host = HostReader(paths.home()).read()
    total = host.total_bytes or 0
    return device_constants.make_cpu(total, total - (host.used_bytes or 0)), 1
