"""The scripted worker on a card that is no faster with more than four trials, and has 100 MiB for them: a
trial takes its rank in MiB. It tells of its pack when that has changed, as often as a comparison takes."""

import sys
import time
from pathlib import Path

from core.contract.events import event_types as e
from tests.daemon.scripted_worker import Scripted

MIB = 1 << 20
MEMORY = 100
ENOUGH = 12
EACH = 100  # tokens of a trial in a round


class Measuring(Scripted):
    told: tuple[int, ...] = ()
    times = 0  # that it told of them
    clock = 0.0  # of its windows: how long a trial takes to come is no part of a comparison

    def do(self, message) -> None:
        super().do(message)
        self.tell_of_pack()

    def turn(self, trial: int) -> None:
        super().turn(trial)
        self.tell_of_pack()

    def tell_of_pack(self) -> None:
        self.times = self.times if tuple(self.steps) == self.told else 0
        if self.steps and self.times < ENOUGH:
            self.told, self.times = tuple(self.steps), self.times + 1
            self.link.tell(self.measured())

    def measured(self) -> e.PackMeasured:
        sizes = {trial: self.knobs[trial]["lora_rank"] * MIB for trial in self.steps}
        used = sum(sizes.values())
        trials = len(sizes)
        self.clock = (self.clock or time.time()) + 0.05
        return e.PackMeasured(
            at=self.clock, study=self.study, worker="somebody", device="cuda:0", trials=trials,
            tokens=EACH * trials, round_s=max(1.0, trials / 4) / 10, base_bytes=MIB, trial_bytes=sizes,
            activation_bytes_per_token=0.0, used_bytes=used, free_bytes=MEMORY * MIB - used, total_bytes=0,
        )  # fmt: skip


if __name__ == "__main__":
    Measuring(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
