"""What a fault of the matrix is, what came of it, and what must hold after every one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import TrialState
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.store import journal_file, run_folder
from core.store.journal_replay import replay_all
from tests.daemon.conftest import Engine

EVERY = 10  # steps between the checkpoints of a scripted study
TOLD_WITHIN_S = 10.0
LOOKED_AT = 25  # trials whose TensorBoard files are read


@dataclass
class Outcome:
    """``lost_steps`` and ``recover_s`` are the worst seen; ``faults`` what did not hold."""

    tried: int = 0
    survived: int = 0
    lost_steps: int = 0
    interval: int = EVERY
    lost_results: int = 0
    recover_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    def recovered(self, since: float) -> None:
        """It is as it was before, and took until now."""
        self.survived += 1
        self.recover_s = max(self.recover_s, time.monotonic() - since)


@dataclass(frozen=True)
class Fault:
    """``run`` is given how often to try."""

    name: str
    times: int
    run: Callable[[int], Outcome]


MATRIX: list[Fault] = []


def fault(name: str, times: int = 1) -> Callable[[Callable[[int], Outcome]], Callable[[int], Outcome]]:
    """Put a fault into the matrix."""

    def add(run: Callable[[int], Outcome]) -> Callable[[int], Outcome]:
        MATRIX.append(Fault(name, times, run))
        return run

    return add


@contextmanager
def scripted(
    outcome: Outcome, trials: int, steps: int, at_work: bool = True, **more: Any
) -> Iterator[Engine]:
    """An engine with a study of scripted workers, waited for until it is ``at_work``; what must hold is
    looked at in the end."""
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:
        engine = Engine(Path(folder) / "home").start()
        sections = {"study": {"trials": trials}, "train": {"steps": steps, **more.pop("train", {})}, **more}
        sections["resources"] = {"checkpoint_every": EVERY, **sections.get("resources", {})}
        try:
            engine.run(**sections)
            if at_work:
                engine.until_study(lambda study: study.trials and study.trials[0].step > EVERY, "it runs")
            yield engine
            outcome.faults += held(engine)
        finally:
            engine.end()
        outcome.faults += left_over(engine)


def ended(engine: Engine) -> s.Study:
    """The study in its end."""
    return engine.until_study(lambda study: study.state not in s.LIVE_STUDY, "the study ends")


def stopped(engine: Engine) -> s.Study:
    """The study, ended by hand."""
    engine.ask(console_api.StopStudy("s"))
    return ended(engine)


def results(study: s.Study) -> dict[int, tuple[float, ...]]:
    """What is finished."""
    return {trial.number: trial.values for trial in study.trials.values() if trial.state == s.COMPLETE}


def lost(before: dict[int, tuple[float, ...]], study: s.Study) -> int:
    """Results that are not there any more, or others."""
    now = results(study)
    return sum(1 for number, values in before.items() if now.get(number) != values)


def worst_loss(engine: Engine) -> int:
    """Steps that were trained twice, at most, when a trial was queued again."""
    seen: dict[int, int] = {}
    kept: dict[int, int] = {}
    worst = 0
    for event in journal_file.read(of(engine)):
        match event:
            case e.TrialReported():
                seen[event.trial] = max(event.step, seen.get(event.trial, 0))
            case e.TrialCheckpointed():
                kept[event.trial] = event.step
            case e.TrialRequeued():
                worst = max(worst, seen.get(event.trial, 0) - kept.get(event.trial, 0))
                seen[event.trial] = kept.get(event.trial, 0)
    return worst


def of(engine: Engine) -> Path:
    """The study's journal."""
    return run_folder.journal_path(engine.home / "studies" / "s")


def held(engine: Engine) -> list[str]:
    """What does not hold: the picture is the journal's, Optuna agrees, TensorBoard has no step twice."""
    study = engine.study()
    kept = replay_all([journal_file.read(of(engine))]).studies["s"]
    found = [
        f"trial {trial.number} is {trial.state} at {trial.step}, "
        f"the journal says {kept.trials[trial.number].state}"
        for trial in study.trials.values()
        if (trial.state, trial.values) != (kept.trials[trial.number].state, kept.trials[trial.number].values)
    ]
    return found + _optuna(engine, study) + _boards(engine, study)


def _optuna(engine: Engine, study: s.Study) -> list[str]:
    """The last trials of a study are told to Optuna while its end is shown already."""
    deadline = time.monotonic() + TOLD_WITHIN_S
    while found := _disagreements(engine, study):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return found


def _disagreements(engine: Engine, study: s.Study) -> list[str]:
    if study.state in s.LIVE_STUDY:
        return []
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{engine.home / 'studies' / 's' / 'optuna.db'}"
    known = {trial.number: trial for trial in optuna.load_study(study_name="s", storage=storage).trials}
    found = []
    for number, trial in study.trials.items():
        theirs = known.get(number)
        if theirs is None or not theirs.state.is_finished():
            found.append(f"Optuna does not know that trial {number} is {trial.state}")
        elif (theirs.state == TrialState.COMPLETE) != (trial.state == s.COMPLETE):
            found.append(f"Optuna says {theirs.state.name} of trial {number}, which is {trial.state}")
        elif trial.state == s.COMPLETE and tuple(theirs.values) != trial.values:
            found.append(f"Optuna has {theirs.values} for trial {number}, not {trial.values}")
    return found


def _boards(engine: Engine, study: s.Study) -> list[str]:
    found = []
    for number in list(study.trials)[:LOOKED_AT]:
        seen: set[tuple[str, int]] = set()
        for path in sorted((engine.home / "studies" / "s" / "tb" / str(number)).glob("events.*")):
            for raw in RawEventFileLoader(str(path)).Load():
                event = Event.FromString(raw)
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        if (value.tag, event.step) in seen:
                            found.append(f"TensorBoard has step {event.step} of trial {number} twice")
                        seen.add((value.tag, event.step))
    return found[:3]


def left_over(engine: Engine) -> list[str]:
    """Processes and sockets that stayed."""
    home = str(engine.home)
    found = [
        f"process {one.pid} is left: {' '.join(one.info['cmdline'])[:80]}"
        for one in psutil.process_iter(["cmdline"])
        if any(home in part for part in one.info["cmdline"] or [])
    ]
    return found + (["the socket is left"] if engine.socket.exists() else [])
