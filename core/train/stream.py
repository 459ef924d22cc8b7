"""A trial's own stream of random numbers: its dropout must not depend on its neighbours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

SEED_OFFSET = 7_919  # the adapter's initialisation draws from the seed itself


class Stream:
    """The state of the device's generator as this trial left it. ``state`` is uint8, as torch has it."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self.state = torch.Generator(device).manual_seed(seed + SEED_OFFSET).get_state()

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw from this stream inside of the block."""
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self.state, self._device)
            yield
            self.state = torch.cuda.get_rng_state(self._device)
        else:
            torch.set_rng_state(self.state)
            yield
            self.state = torch.get_rng_state()
