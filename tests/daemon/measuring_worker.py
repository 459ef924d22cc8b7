"""The scripted worker on a card that is no faster with more than four trials, and has 100 MiB for them: a
trial takes its rank in MiB. It tells of its pack whenever that has changed."""

import sys
import time
from pathlib import Path

from core.contract import events as e
from tests.daemon.scripted_worker import Scripted

MIB = 1 << 20
MEMORY = 100
EACH = 100  # tokens of a trial in a round


class Measuring(Scripted):
    told: tuple[int, ...] = ()

    def do(self, message) -> None:
        super().do(message)
        if tuple(self.steps) != self.told and self.steps:
            self.told = tuple(self.steps)
            self.link.tell(self.measured())

    def turn(self, trial: int) -> None:
        super().turn(trial)
        if tuple(self.steps) != self.told and self.steps:
            self.told = tuple(self.steps)
            self.link.tell(self.measured())

    def measured(self) -> e.PackMeasured:
        sizes = {trial: self.knobs[trial]["lora_rank"] * MIB for trial in self.steps}
        used = sum(sizes.values())
        trials = len(sizes)
        return e.PackMeasured(
            at=time.time(), study=self.study, worker="somebody", device="cuda:0", trials=trials,
            tokens=EACH * trials, round_s=max(1.0, trials / 4) / 10, base_bytes=MIB, trial_bytes=sizes,
            activation_bytes_per_token=0.0, used_bytes=used, free_bytes=MEMORY * MIB - used, total_bytes=0,
        )  # fmt: skip


if __name__ == "__main__":
    Measuring(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
