"""Inspects single rows with the base, with a trial's adapter or without."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.contract.text.sanitize import sanitize
from core.train.base.base_model import Base
from core.train.introspection.attention_capture import Attention, RowIntrospection
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item
from core.train.step.oom_report import is_out_of_memory


class Inspection:
    """Inspects rows one at a time, without gradients, so that it needs little memory next to a training
    pass."""

    def __init__(self, base: Base, forward: Forward) -> None:
        self._device, self._forward = base.device, forward
        self._attention = Attention(base.model)

    def do(self, item: Item, special: Sequence[bool]) -> RowIntrospection:
        """Inspect one row, whose ``special`` tokens are marked.

        Errors are returned, never raised: memory may run out, or a layer may be unsupported; a failed device
        shows in the next round.
        """
        began, result = time.perf_counter(), RowIntrospection()
        try:
            with self._attention.capture(special) as layers:
                ((_, reading),) = self._forward.rate([item])
            result = RowIntrospection(reading.losses, layers, self._attention.why)
        except Exception as error:
            result.fault = sanitize(f"{type(error).__name__}: {error}", 200)
            if is_out_of_memory(error):
                free(self._device)
        result.took_s = time.perf_counter() - began
        return result
