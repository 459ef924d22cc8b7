"""The device that a verb computes on, and the word on it: nobody waits for a CPU without knowing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import torch

from core.contract.text.sanitize import plain
from core.contract.wire.shell_environment import hides


def chosen(wanted: str | Sequence[int]) -> tuple[torch.device, str]:
    """``wanted`` is resources.devices of the study, "auto" where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    said = f"CUDA_VISIBLE_DEVICES = {plain(visible or '', 120)!r}"
    if wanted == "cpu":
        return torch.device("cpu"), "on the CPU: resources.devices = 'cpu'"
    if torch.cuda.is_available():
        return torch.device("cuda"), f"on {plain(torch.cuda.get_device_name(), 80)}"
    if hides(visible):
        return torch.device("cpu"), f"on the CPU: {said} hides all GPUs"
    asked = f"resources.devices = {wanted!r}" if wanted != "auto" else said if visible else ""
    if asked:
        return torch.device(
            "cpu"
        ), f"on the CPU, though {asked}: torch sees no GPU; `trimtab doctor` says why"
    return torch.device("cpu"), "on the CPU: torch sees no GPU"


def say(text: str) -> None:
    """A word on standard error: what is written goes to standard output."""
    print(f"{plain(text)} …", file=sys.stderr, flush=True)
