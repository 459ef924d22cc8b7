"""Looks into the base on one row, with a trial's adapter or without; costs nobody a trial."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from core.contract.plain import plain
from core.train.attention import Attention, Inside
from core.train.forward import Forward
from core.train.model import Base
from core.train.wants import Done, Inspect


class Inspection:
    """Rows are done one at a time, without gradients: next to a training pass they take no memory."""

    def __init__(self, base: Base, forward: Forward) -> None:
        self._attention, self._forward = Attention(base.model), forward

    def do(self, wants: Mapping[int, Inspect]) -> tuple[dict[int, Done], bool]:
        """What came of each want, and whether all went well. A fault is told in its answer, not raised; but
        for torch.AcceleratorError."""
        found = {one: self._inside(want) for one, want in wants.items()}
        whole = not any(inside.fault for inside in found.values())
        return {one: Done(answers=[inside]) for one, inside in found.items()}, whole

    def _inside(self, want: Inspect) -> Inside:
        began, found = time.perf_counter(), Inside()
        try:
            with self._attention.seen(want.special) as layers:
                ((_, reading),) = self._forward.rate([want.item])
            found = Inside(reading.losses, layers, self._attention.why)
        except torch.AcceleratorError:
            raise
        except Exception as error:  # memory ends, a layer is like no other: this row is not worth a trial
            found.fault = plain(f"{type(error).__name__}: {error}", 200)
        found.took_s = time.perf_counter() - began
        return found
