"""The engine on a machine with two cards; one that the file ``lost`` in its home names falls off the bus."""

import sys

from core import paths
from core.daemon import __main__, machine
from core.watch.gpu import GpuReader
from core.watch.machine import MachineReader
from tests.watch.fake_nvml import FakeNvml


class Cards(FakeNvml):
    def nvmlDeviceGetCount(self) -> int:
        lost = paths.home() / "lost"
        self.lost = {int(lost.read_text())} if lost.exists() else set()
        return super().nvmlDeviceGetCount()


if __name__ == "__main__":
    machine.MachineReader = lambda: MachineReader(gpus=GpuReader(Cards(2)))
    machine.WATCHED_S = machine.UNWATCHED_S = 0.1
    sys.exit(__main__.main())
