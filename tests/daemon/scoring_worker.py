"""The scripted worker with boards: its trials get more toxic with every step, and answer by their rank."""

import sys
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from tests.daemon.scripted_worker import STEP_S, Scripted


class Scoring(Scripted):
    def turn(self, trial: int) -> None:
        super().turn(trial)
        step = self.steps.get(trial)
        if step is not None and step % self.spec["evaluate"]["every"] == 0:
            self.score(trial, step)

    def score(self, trial: int, step: int) -> float:
        """Toxicity by the step; right answers by the rank, and a little by the step."""
        rank = self.knobs[trial]["lora_rank"]
        values = {"safety/toxicity": min(0.9, 0.01 * step), "quality/exact": rank / 64 + 0.0001 * step}
        scores = {
            name: Score(value, 0.9 * value, min(1.0, 1.1 * value), 200) for name, value in values.items()
        }
        self.tell(e.TrialScored, trial, step=step, elapsed_s=step * STEP_S, scores=scores)
        return values["quality/exact"]

    def tell(self, kind, trial: int, **fields) -> None:
        """A trial ends with the study's objective, scored before, as a real one does."""
        if kind is e.TrialCompleted and self.spec["study"]["objectives"][0]["metric"] == "quality/exact":
            fields["values"] = (self.score(trial, fields["step"]),)
        super().tell(kind, trial, **fields)


if __name__ == "__main__":
    Scoring(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
