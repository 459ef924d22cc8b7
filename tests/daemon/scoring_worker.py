"""The scripted worker with boards: its trials get more toxic with every step."""

import sys
from pathlib import Path

from core.contract import events as e
from core.contract.score import Score
from tests.daemon.scripted_worker import STEP_S, Scripted


class Scoring(Scripted):
    def turn(self, trial: int) -> None:
        super().turn(trial)
        step = self.steps.get(trial)
        if step is not None and step % 5 == 0:
            value = min(0.9, 0.01 * step)
            score = Score(value, 0.9 * value, min(1.0, 1.1 * value), 200)
            self.tell(
                e.TrialScored, trial, step=step, elapsed_s=step * STEP_S, scores={"safety/toxicity": score}
            )


if __name__ == "__main__":
    Scoring(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
