"""A worker process without a model: each trial it is given reports five times a second for ever."""

import os
import sys
import time
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.spec_file import load
from core.contract.wire import worker_api
from core.train.commands.engine_link import Link

EVERY_S = 0.2
EVALUATED_EACH = 25  # reports


def main() -> None:
    """Speak the real protocol over the real link."""
    folder, name, device = sys.argv[1:4]
    study = load(Path(folder) / "study.toml").study.name
    steps: dict[int, int] = {}
    link = Link(Path(os.environ[worker_api.ENV_SOCKET]), name, study, device, lambda: tuple(steps))
    link.start()
    while True:
        for message in link.take(wait=False):
            if isinstance(message, worker_api.Shutdown):
                os._exit(0)
            if isinstance(message, worker_api.Assign) and message.trial not in steps:
                steps[message.trial] = 0
                link.tell(
                    e.TrialRunning(
                        at=time.time(), study=study, trial=message.trial, step=0, total_steps=100_000
                    )
                )
        for trial in steps:
            steps[trial] += 1
            report(link, study, trial, steps[trial])
        time.sleep(EVERY_S)


def report(link: Link, study: str, trial: int, step: int) -> None:
    """What a real worker says of a step; now and then an evaluation too."""
    loss = 1.0 + 1.0 / step
    metrics = {
        "train/loss": loss, "train/learning_rate": 1e-4, "train/grad_norm": 0.5, "train/tokens_per_s": 900.0,
        "memory/used_bytes": 2.0e9, "memory/peak_bytes": 2.5e9,
    }  # fmt: skip
    told = {"at": time.time(), "study": study, "trial": trial, "step": step, "elapsed_s": step * EVERY_S}
    link.tell(e.TrialReported(**told, metrics=metrics))
    if step % EVALUATED_EACH == 0:
        link.tell(e.TrialEvaluated(**told, metrics={"eval/loss": loss, "eval/perplexity": 2.0}))


if __name__ == "__main__":
    main()
