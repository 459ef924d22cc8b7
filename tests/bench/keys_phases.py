"""What the worker of a study does now, by what it told: the phase that a key's press falls into."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.state import engine_state as s

CONVERTING, LOADING, TOKENISING = "converting the base", "model loading", "tokenising"
TRAINING, EVALUATION, CHECKPOINTING, IDLE = "training", "evaluation", "checkpointing", "idle"
LIKELIHOOD, GENERATION = "scoring by likelihood", "generation"
SCORING = "scoring, either"  # where no TrialScoring says which: texts are due, rows are rated as well
PHASES = (
    CONVERTING, LOADING, TOKENISING, TRAINING, EVALUATION, LIKELIHOOD, SCORING, GENERATION,
    CHECKPOINTING, IDLE,
)  # fmt: skip
BEFORE = frozenset({CONVERTING, LOADING, TOKENISING})  # no trial trains yet
LONGEST_FIRST = (GENERATION, SCORING, LIKELIHOOD, EVALUATION, CHECKPOINTING, TRAINING)  # trials share rounds
SCORING_TAG = "trial-scoring"
WHAT = {"likelihood": LIKELIHOOD, "text": GENERATION}
OF_BASE = "scoring the base model"  # how that stage begins
GONE = (e.TrialCompleted, e.TrialPruned, e.TrialFailed, e.TrialInfeasible, e.TrialRequeued)


def tag(event: e.Event | None) -> str:
    """Its name on the wire, such as "trial-scoring"; empty for none."""
    return "" if event is None else str(event.__struct_config__.tag)


class Phases:
    """Follows a study's events. What a round does for several trials is called by its longest part."""

    def __init__(self, every: int, generate_every: int, checkpoint_every: int) -> None:
        self._every, self._generate, self._keep = every, generate_every, checkpoint_every
        self._of: dict[int, str] = {}
        self._base_rated = self._loaded = False

    def take(self, study: s.Study, event: e.Event | None) -> None:
        """The study after an event; None for a snapshot, which says nothing of a phase."""
        if isinstance(event, e.BaseScored):
            self._base_rated = True
        if not isinstance(event, e.TrialEvent):
            return
        total = study.trials[event.trial].total_steps
        if isinstance(event, GONE):
            self._of.pop(event.trial, None)
        elif tag(event) == SCORING_TAG:
            self._of[event.trial] = WHAT.get(getattr(event, "what", ""), SCORING)
        else:
            self._trained(event, total)

    def _trained(self, event: e.TrialEvent, total: int) -> None:
        number = event.trial
        match event:
            case e.TrialRunning():
                self._of[number], self._loaded = TRAINING, True
            case e.TrialReported():
                last, step = event.step == total, event.step
                judged = last or step % self._every == 0
                kept = step % self._keep == 0
                self._of[number] = EVALUATION if judged else CHECKPOINTING if kept else TRAINING
            case e.TrialEvaluated():
                texts = event.step == total or event.step // self._every % self._generate == 0
                self._of[number] = SCORING if texts else LIKELIHOOD
            case e.TrialScored():
                self._of[number] = TRAINING
            case e.TrialCheckpointed() if self._of.get(number) == CHECKPOINTING:
                self._of[number] = TRAINING

    def now(self, study: s.Study) -> str:
        """The phase at this moment."""
        stages = [one.stage for name, one in study.preparing.items() if name != "engine"]
        for stage in stages:
            if not stage.startswith((OF_BASE, "trial ")):
                return _loading(stage)
        here = [trial for trial in study.trials.values() if trial.state in s.ON_WORKER]
        running = [one.number for one in here if one.state == s.RUNNING]
        if not running:
            return IDLE if self._loaded else LOADING
        found = {self._of.get(number, TRAINING) for number in running}
        if any(stage.startswith(OF_BASE) for stage in stages):
            found.add(GENERATION if self._base_rated else LIKELIHOOD)
        return next(phase for phase in LONGEST_FIRST if phase in found)


def _loading(stage: str) -> str:
    if stage.startswith("converting"):
        return CONVERTING
    return TOKENISING if stage.startswith(("tokenis", "reading")) else LOADING
