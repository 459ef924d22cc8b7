"""What is said where memory ends: who was there, what was in use, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch

from core.contract.events import event_types as e
from core.contract.spec.knob_table import Value
from core.contract.text.sanitize import plain
from core.train.step import device_memory


def told(study: str, device: torch.device, trials: Sequence[int], moved: int, text: str) -> e.MemoryShort:
    """The event. ``moved`` leaves, -1 for nobody."""
    return e.MemoryShort(
        at=time.time(), study=study, worker="", device=str(device), trials=tuple(trials),
        used_bytes=device_memory.lately(device), text=text, moved=moved,
    )  # fmt: skip


def left(device: torch.device, trials: int, moved: int, youngest: bool) -> str:
    """Words on a trial that leaves."""
    return f"{_met(device, trials)}trial {moved}{', the youngest,' if youngest else ''} leaves and waits"


def halved(device: torch.device, trials: int, most: int, short: int) -> str:
    """Words on smaller passes: of ``most`` tokens, for one of ``short`` found no room."""
    return (
        f"{_met(device, trials)}passes have at most {most} tokens from here on, not {short}; "
        "batches and losses stay as they are"
    )


def _met(device: torch.device, trials: int) -> str:
    used = device_memory.lately(device) / 2**30
    return f"memory ended on {device} with {trials} trials, {used:.1f} GiB in use at most: "


def too_big(device: torch.device, knobs: Mapping[str, Value], step: int, error: Exception) -> str:
    """Why a trial that is alone cannot be."""
    peak = device_memory.readings(device)["memory/peak_bytes"]
    return (
        f"out of memory at step {step + 1} with batch_size {knobs['batch_size']} × sequence_length "
        f"{knobs['sequence_length']} (peak {peak / 2**30:.1f} GiB): {plain(str(error), 160)}"
    )
