"""The scripted worker on a card: the file ``dead`` in the home names one that computes no more, and how its
workers find out: they say that they cannot work, or just end."""

import os
import sys
from pathlib import Path

from core import paths
from core.contract.wire import worker_api
from tests.daemon.scripted_worker import Scripted


class Carded(Scripted):
    def turn(self, trial: int) -> None:
        dead = paths.home() / "dead"
        card, how = dead.read_text().split() if dead.exists() else ("", "")
        if card == os.environ["CUDA_VISIBLE_DEVICES"]:
            if how == "says":
                self.link.say(worker_api.Broken("no CUDA GPUs are available"))
                self.link.close(5.0)
            os._exit(1)
        super().turn(trial)


if __name__ == "__main__":
    Carded(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
