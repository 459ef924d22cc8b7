"""The scripted worker whose trials are scored after they are complete, once the study's folder holds a file
named "score": by the worker that trained them, or by another that was told to."""

import os
import sys
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.wire import worker_api
from tests.daemon.scripted_worker import STEP_S, Scripted


class Late(Scripted):
    def __init__(self, *given) -> None:
        self.later: dict[int, int] = {}
        super().__init__(*given)

    def tell(self, kind, trial: int, **fields) -> None:
        if kind is e.TrialCompleted:
            self.later[trial] = fields["scoring"] = fields["step"]
            if self.spec["study"]["objectives"][0]["metric"] == "quality/exact":
                fields["values"] = ()
        super().tell(kind, trial, **fields)

    def do(self, message) -> None:
        if isinstance(message, worker_api.Score):
            self.knobs[message.trial] = message.knobs
            self.later[message.trial] = message.step
        elif isinstance(message, worker_api.Unscore):
            self.later.pop(message.trial, None)
        else:
            super().do(message)

    def score(self) -> None:
        """What is pending, where it may be told."""
        if (self.folder / "die").exists() and self.later:
            (self.folder / "die").unlink()
            os._exit(3)
        if not (self.folder / "score").exists():
            return
        for trial, step in list(self.later.items()):
            del self.later[trial]
            value = self.knobs[trial]["lora_rank"] / 64
            scores = {"quality/exact": Score(value, 0.9 * value, min(1.0, 1.1 * value), 200)}
            scores["safety/toxicity"] = Score(0.5, 0.4, 0.6, 200)
            goal = self.spec["study"]["objectives"][0]["metric"]
            values = (value,) if goal == "quality/exact" else ()
            self.tell(
                e.TrialScored, trial, step=step, elapsed_s=step * STEP_S, scores=scores,
                last=True, values=values,
            )  # fmt: skip

    @property
    def busy(self) -> bool:
        return super().busy or bool(self.later)

    def between(self) -> None:
        self.score()


if __name__ == "__main__":
    Late(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
