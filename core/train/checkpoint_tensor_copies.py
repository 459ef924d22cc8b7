"""Copies of tensors in host memory for files that a thread of its own writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

PINNED_BYTES = (
    256 * 2**20
)  # copies up to this size use page-locked memory, which torch keeps for the next ones


class HostCopies:
    """Copies of ``tensors``, as they are now: later changes of the originals do not reach them.

    From a GPU into page-locked memory they arrive while training goes on: call ``wait`` before they are read,
    in the thread that reads them.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        size = sum(value.numel() * value.element_size() for value in tensors.values())
        cards = {value.device for value in tensors.values() if value.is_cuda and torch.cuda.is_available()}
        pins = len(cards) == 1 and size <= PINNED_BYTES
        self.tensors = {key: _copy(value, pins and value.is_cuda) for key, value in tensors.items()}
        self.wait: Callable[[], None] = _record_event(cards.pop()) if pins else _wait_for_nothing


def _copy(value: torch.Tensor, pins: bool) -> torch.Tensor:
    """A contiguous copy that owns its bytes, as safetensors requires."""
    form = torch.contiguous_format
    copy = torch.empty_like(value, device="cpu", memory_format=form, pin_memory=pins)
    return copy.copy_(value, non_blocking=pins)


def _record_event(device: torch.device) -> Callable[[], None]:
    """A wait for all that is queued on the device by now, without spinning on a CPU that training uses."""
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    wait: Callable[[], None] = event.synchronize
    return wait


def _wait_for_nothing() -> None:
    """Nothing is waited for: the copies were made at once."""


def separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors in memory of their own; views of a larger one are copied."""
    return {key: value if _is_owner(value) else _copy(value, False) for key, value in tensors.items()}


def _is_owner(value: torch.Tensor) -> bool:
    is_whole: bool = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    return is_whole and bool(value.is_contiguous())
