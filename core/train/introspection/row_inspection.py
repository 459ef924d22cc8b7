"""Looks into the base on single rows, with a trial's adapter or without; costs nobody a trial."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from core.contract.text.sanitize import plain
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.introspection.attention_capture import Attention, Inside
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item


class Inspection:
    """Rows are done one at a time, without gradients: next to a training pass they take no memory."""

    def __init__(self, base: Base, stack: Stack, forward: Forward) -> None:
        self._device, self._stack, self._forward = base.device, stack, forward
        self._attention = Attention(base.model)

    def can(self, mine: Factors | None) -> bool:
        """Is the trial stacked, so that its adapter takes part?"""
        return mine is None or bool(self._stack.order([mine]))

    def do(self, item: Item, special: Sequence[bool]) -> Inside:
        """One row, whose ``special`` tokens are marked. A fault is told in what it gives, never raised:
        memory may end, a layer may be like no other; a device that failed says so in the next round."""
        began, found = time.perf_counter(), Inside()
        try:
            with self._attention.seen(special) as layers:
                ((_, reading),) = self._forward.rate([item])
            found = Inside(reading.losses, layers, self._attention.why)
        except Exception as error:
            found.fault = plain(f"{type(error).__name__}: {error}", 200)
            if isinstance(error, torch.OutOfMemoryError):
                free(self._device)
        found.took_s = time.perf_counter() - began
        return found
