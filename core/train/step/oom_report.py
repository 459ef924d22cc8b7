"""Describes an out-of-memory error: the trials involved, the memory in use, and what happens next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from core.contract.events import event_types as e
from core.contract.spec.knob_table import Value
from core.contract.text.sanitize import sanitize
from core.train.device_errors import is_device_failure as is_device_failure
from core.train.device_errors import is_out_of_memory as is_out_of_memory
from core.train.reporter import Reporter
from core.train.step import device_memory


def report(reporter: Reporter, device: torch.device, trials: Sequence[int], moved: int, text: str) -> None:
    """Report that memory ran out. ``moved`` is the trial that leaves the pack, -1 for none."""
    reporter.emit(
        e.MemoryShort, worker="", device=str(device), trials=tuple(trials),
        used_bytes=device_memory.read_recent_peak(device), text=text, moved=moved,
    )  # fmt: skip


def describe_leaving(device: torch.device, trials: int, moved: int, youngest: bool) -> str:
    """Describe that a trial leaves the pack."""
    which = f"trial {moved}, the youngest," if youngest else f"trial {moved}"
    return f"{_describe_error(device, trials)}: {which} leaves the pack and waits in the queue"


def describe_limit(device: torch.device, trials: int, most: int, short: int) -> str:
    """Describe that passes are now limited to ``most`` tokens, because one of ``short`` tokens failed."""
    return (
        f"{_describe_error(device, trials)}: passes now have at most {most} tokens instead of {short}; "
        "batches and losses do not change"
    )


def _describe_error(device: torch.device, trials: int) -> str:
    used = device_memory.read_recent_peak(device) / 2**30
    return f"out of memory on {device} with {trials} trials (peak {used:.1f} GiB)"


def describe_misfit(device: torch.device, knobs: Mapping[str, Value], step: int, error: Exception) -> str:
    """Explain why a trial does not fit even alone."""
    peak = device_memory.read_metrics(device)["memory/peak_bytes"]
    return (
        f"out of memory at step {step + 1} with batch_size {knobs['batch_size']} × sequence_length "
        f"{knobs['sequence_length']} (peak {peak / 2**30:.1f} GiB): {sanitize(str(error), 160)}"
    )
