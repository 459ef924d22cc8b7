"""The engine on a machine with two cards; one that the file ``lost`` in its home names falls off the bus."""

import sys

from core import paths
from core.daemon import __main__
from core.daemon.server import machine_polling
from core.watch.machine_reader import MachineReader
from core.watch.nvml_reader import GpuReader
from tests.watch.fake_nvml import FakeNvml


class Cards(FakeNvml):
    def nvmlDeviceGetCount(self) -> int:
        lost = paths.home() / "lost"
        self.lost = {int(lost.read_text())} if lost.exists() else set()
        return super().nvmlDeviceGetCount()


if __name__ == "__main__":
    machine_polling.MachineReader = lambda: MachineReader(gpus=GpuReader(Cards(2)))
    machine_polling.WATCHED_S = machine_polling.UNWATCHED_S = 0.1
    sys.exit(__main__.main())
