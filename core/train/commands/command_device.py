"""Chooses the device that a command computes on, and says which and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import torch

from core.contract.text.sanitize import sanitize
from core.contract.wire.shell_environment import hides_gpus


def choose_device(devices_setting: str | Sequence[int]) -> tuple[torch.device, str]:
    """Choose the device and describe the choice. ``devices_setting`` is resources.devices of the study, or
    "auto"."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    variable = f"CUDA_VISIBLE_DEVICES = {sanitize(visible or '', 120)!r}"
    if devices_setting == "cpu":
        return torch.device("cpu"), "on the CPU: resources.devices = 'cpu'"
    if torch.cuda.is_available():
        return torch.device("cuda"), f"on {sanitize(torch.cuda.get_device_name(), 80)}"
    if hides_gpus(visible):
        return torch.device("cpu"), f"on the CPU: {variable} hides all GPUs"
    requested = (
        f"resources.devices = {devices_setting!r}"
        if devices_setting != "auto"
        else variable
        if visible
        else ""
    )
    if requested:
        why = f"on the CPU, although {requested}: torch sees no GPU; `trimtab doctor` says why"
        return torch.device("cpu"), why
    return torch.device("cpu"), "on the CPU: torch sees no GPU"


def say(text: str) -> None:
    """Print a status line on standard error; standard output is for generated text."""
    print(f"{sanitize(text)} …", file=sys.stderr, flush=True)
