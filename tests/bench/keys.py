"""``python -m tests.bench.keys``: how long it takes from a key to what it does, by what the worker does.

A study of few steps on the demo's base, two trials at once, with all boards. Presses are chosen so that each
key meets each phase; a phase is that of the worker, called by the longest part of its round. A press that its
trial's end overtakes is not counted. What no press could meet has no line: nobody can resume before a trial
trains, or pause where all are paused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import paths
from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from core.errors import TrimtabError
from tests.bench import keys_phases as phases
from tests.bench.live import base_of, empty_home, told
from tests.daemon.conftest import Engine

PAUSE, RESUME, PRUNE, STOP = "p pause", "p resume", "x prune", "s stop"
REQUESTS = {
    PAUSE: console_api.PauseTrial,
    RESUME: console_api.ResumeTrial,
    PRUNE: console_api.PruneTrial,
}
EFFECTS = {PAUSE: e.TrialPaused, RESUME: e.TrialResumed, PRUNE: e.TrialPruned}
EVERY, GENERATE_EVERY, CHECKPOINT_EVERY, STEPS, PACK = 4, 2, 3, 12, 2
JITTER_S = 0.3  # half of the presses come at any moment of a round, half with the event that ends one
SHORT = (phases.EVALUATION, phases.CHECKPOINTING)  # are over by then: pressed at once
HELD_S = 15.0  # the longest that a paused trial waits for a phase that lacks a resume
STOPPED_WITHIN_S = 60.0
TIERS = 2  # of the base's scores: by likelihood, by text


def spec(base: str, name: str, boards: list[str]) -> dict[str, Any]:
    """The study as the engine takes it."""
    raw = {
        "study": {"name": name, "trials": 500, "sampler": "random", "pruner": "none", "seed": 1},
        "model": {"base": base},
        "data": {"source": "demo:stdlib", "rows": 200},
        "train": {"steps": STEPS, "sequence_length": 64, "batch_size": 2},
        "space": {"learning_rate": {"low": 1e-4, "high": 1e-3, "log": True}, "lora_rank": [4, 8]},
        "evaluate": {
            "every": EVERY, "rows": 8, "batch_size": 2, "boards": boards, "samples": 2,
            "generate_every": GENERATE_EVERY,
        },
        "resources": {
            "pack": PACK, "checkpoint_every": CHECKPOINT_EVERY, "checkpoint_every_s": 0.0,
            "report_every_s": 0.01,
        },
    }  # fmt: skip
    return spec_file.convert_to_raw(spec_file.parse(raw))


@dataclass
class Press:
    """A key that waits for what it does."""

    key: str
    phase: str
    at: float


class Taken:
    """Seconds from press to effect, by phase and key, and from press to the engine's answer."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.acknowledged: list[float] = []
        self.overtaken = self.refused = 0
        self.open: list[str] = []  # pressed without an effect until the study was stopped

    def table(self) -> str:
        """A line for each phase and key that was met."""
        lines = [f"{'phase':<24}{'key':<12}{'presses':>8}{'median':>12}{'worst':>12}"]
        for phase in phases.PHASES:
            for key in (PAUSE, RESUME, PRUNE, STOP):
                if some := self.seconds.get((phase, key)):
                    figures = f"{statistics.median(some):>10.3f} s{max(some):>10.3f} s"
                    lines.append(f"{phase:<24}{key:<12}{len(some):>8}{figures}")
        if self.acknowledged:
            some = [1000 * one for one in self.acknowledged]
            median, worst = statistics.median(some), max(some)
            lines.append(f"key to the engine's answer: median {median:.0f} ms, worst {worst:.0f} ms")
        lines.append(f"not counted: {self.overtaken} overtaken by the trial's end, {self.refused} refused")
        lines += [f"without an effect until the study's stop: {one}" for one in self.open]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        rows = [{"phase": phase, "key": key, "seconds": some} for (phase, key), some in self.seconds.items()]
        return {"presses": rows, "acknowledged_s": self.acknowledged, "overtaken": self.overtaken,
                "refused": self.refused, "open": self.open}  # fmt: skip


class Hand:
    """Presses keys on one study. ``wanted`` is the number of presses of each key in each phase."""

    def __init__(self, ask: Callable, name: str, wanted: int, taken: Taken) -> None:
        self._ask, self._name, self._wanted, self._taken = ask, name, wanted, taken
        self._phases = phases.Phases(EVERY, GENERATE_EVERY, CHECKPOINT_EVERY)
        self._pressed: dict[int, Press] = {}  # by trial: they wait for their effect
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by trial: about to press
        self._paused_at: dict[int, float] = {}
        self._draw = random.Random(1)
        self.study: s.Study | None = None
        self._base_scored = 0
        self.ready = asyncio.Event()  # all is loaded, and the base is scored: trials train by themselves

    def take(self, now: float, study: s.Study, event: e.Event | None) -> None:
        """Something happened: it may be what a press waits for, or a moment to press."""
        self.study = study
        self._phases.take(study, event)
        if isinstance(event, e.TrialEvent):
            self._settle(now, event)
        if isinstance(event, e.BaseScored):
            self._base_scored += 1
            if self._base_scored == TIERS:
                self.ready.set()
        if study.state == "running":
            self._consider(now, study)

    @property
    def phase(self) -> str:
        """What the worker does now."""
        return self._phases.now(self.study) if self.study is not None else phases.LOADING

    def _settle(self, now: float, event: e.TrialEvent) -> None:
        press = self._pressed.get(event.trial)
        if isinstance(event, e.TrialPaused):
            self._paused_at[event.trial] = now
        if press is not None and isinstance(event, EFFECTS[press.key]):
            self._taken.seconds[press.phase, press.key].append(now - press.at)
            del self._pressed[event.trial]
        elif press is not None and isinstance(event, phases.GONE):
            self._taken.overtaken += 1
            del self._pressed[event.trial]

    # -- which key ---------------------------------------------------------------------------------

    def _lacks(self, phase: str, key: str) -> int:
        waiting = sum((one.phase, one.key) == (phase, key) for one in self._pressed.values())
        return self._wanted - len(self._taken.seconds.get((phase, key), ())) - waiting

    def _consider(self, now: float, study: s.Study) -> None:
        phase = self._phases.now(study)
        for trial in self._free(study):
            key = self._key(now, study, trial, phase)
            if key:
                at_once = phase in SHORT or self._draw.random() < 0.5
                delay_s = 0.0 if at_once else self._draw.uniform(0.0, JITTER_S)
                self._tasks[trial.number] = asyncio.create_task(self._press(trial.number, key, delay_s))
                return

    def _free(self, study: s.Study) -> list[s.Trial]:
        """Trials on the worker that no press is under way for."""
        taken = {*self._tasks, *self._pressed}
        here = [trial for trial in study.trials.values() if trial.state in s.ON_WORKER]
        return [one for one in here if not one.asked and one.number not in taken]

    def _key(self, now: float, study: s.Study, trial: s.Trial, phase: str) -> str:
        """The key that lacks most presses here; empty for none."""
        if trial.state == s.PAUSED:
            keys = [RESUME, PRUNE] if phase == phases.IDLE else [RESUME]
        else:
            keys = [PAUSE, PRUNE] if self._may_pause(study, phase) else [PRUNE]
        key = max(keys, key=lambda key: self._lacks(phase, key))
        if self._lacks(phase, key) > 0:
            return key
        if trial.state == s.PAUSED and (phase == phases.IDLE or self._held_long(now, trial)):
            return RESUME
        return ""

    def _may_pause(self, study: s.Study, phase: str) -> bool:
        """The last running trial is only paused where presses are lacking while all are paused."""
        running = sum(trial.state == s.RUNNING and not trial.asked for trial in study.trials.values())
        idle = max(self._lacks(phases.IDLE, RESUME), self._lacks(phases.IDLE, PRUNE))
        return phase in phases.BEFORE or running > 1 or idle > 0

    def _held_long(self, now: float, trial: s.Trial) -> bool:
        lacking = any(self._lacks(phase, RESUME) > 0 for phase in phases.PHASES if phase not in phases.BEFORE)
        return not lacking or now - self._paused_at.get(trial.number, now) > HELD_S

    async def _press(self, number: int, key: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._tasks.pop(number, None)
        study = self.study
        if study is None or study.state != "running" or study.trials[number].state not in s.ON_WORKER:
            return
        press = self._pressed[number] = Press(key, self._phases.now(study), time.monotonic())
        try:
            await self._ask(REQUESTS[key](self._name, number, by="bench"))
            self._taken.acknowledged.append(time.monotonic() - press.at)
        except TrimtabError:  # it ended, or was paused, at the same moment
            self._taken.refused += 1
            if self._pressed.get(number) is press:
                del self._pressed[number]

    async def stop(self) -> None:
        """The last key. What is not answered yet will not be."""
        for task in self._tasks.values():
            task.cancel()
        phase, pressed = self.phase, time.monotonic()
        for number, one in self._pressed.items():
            state = self.study.trials[number].state if self.study is not None else ""
            self._taken.open.append(
                f"{one.key} at {one.phase}, {pressed - one.at:.1f} s ago, trial {number} is {state} now"
            )
        ended = asyncio.get_running_loop().create_future()
        self.take = lambda now, study, event: (  # type: ignore[method-assign]
            ended.set_result(now) if isinstance(event, e.StudyEnded) and not ended.done() else None
        )
        await self._ask(console_api.StopStudy(self._name, by="bench"))
        self._taken.seconds[phase, STOP].append(await asyncio.wait_for(ended, STOPPED_WITHIN_S) - pressed)


async def press(
    engine: Engine, raw: dict[str, Any], wanted: int, seconds: float, until: float, taken: Taken
) -> str:
    """One study: keys until the base is scored and for ``seconds`` more, not after ``until``; then its stop.
    Returns why it ended before, or ""."""
    name = raw["study"]["name"]
    connection = await engine_client.attach(engine.socket)
    hand = Hand(connection.ask, name, wanted, taken)

    async def read() -> None:
        async for now, state, event in told(connection):
            if name in state.studies and (event is None or event.study in (name, "")):
                hand.take(now, state.studies[name], event)

    reading = asyncio.create_task(read())
    try:
        await connection.ask(console_api.StartStudy(raw, by="bench"))
        ready = asyncio.create_task(hand.ready.wait())
        await asyncio.wait({reading, ready}, timeout=left_s(until), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        await asyncio.wait({reading}, timeout=min(seconds, left_s(until)))
        if hand.study is not None and hand.study.state not in s.LIVE_STUDY:
            return f"{name} {hand.study.state}: {hand.study.why}"
        if reading.done():
            return f"{name}: the engine went away ({reading.exception() or 'its connection was closed'})"
        await hand.stop()
    except TimeoutError:
        return f"{name}: not ended {STOPPED_WITHIN_S:.0f} s after its stop"
    finally:
        reading.cancel()
        await connection.close()
    return ""


def left_s(until: float) -> float:
    """Seconds until then, or 0."""
    return max(0.0, until - time.monotonic())


def lend_base(known: Path) -> None:
    """The demo's base as it was converted before, where it was: seconds are for the keys."""
    if (known / "config.json").is_file():
        paths.make_private(paths.cache())
        (paths.cache() / known.name).symlink_to(known)


def main() -> int:
    """Press, and print the table whatever came between."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--presses", type=int, default=5, metavar="N", help="of each key in each phase")
    options.add_argument("--studies", type=int, default=2, help="one after the other: each is loaded once")
    options.add_argument("--seconds", type=float, default=45.0, help="of each study once the base is scored")
    options.add_argument("--limit", type=float, default=240.0, metavar="S", help="seconds for all of it")
    options.add_argument("--boards", default="quality,safety,security", help="with commas")
    options.add_argument("--base", default="demo:smollm2", help='"tiny" is made on the spot')
    options.add_argument("--load", type=int, default=0, metavar="N", help="busy processes beside it")
    options.add_argument("--json", type=Path, metavar="FILE", help="write all seconds there, too")
    chosen = options.parse_args()
    taken, known = Taken(), paths.cache() / "smollm2-135m-instruct"
    end = time.monotonic() + chosen.limit
    try:
        with empty_home(load=chosen.load) as engine:
            lend_base(known)
            base = base_of(engine, chosen.base)
            engine.start()
            for number in range(chosen.studies):
                raw = spec(base, f"keys-{number}", chosen.boards.split(","))
                until = time.monotonic() + left_s(end) / (chosen.studies - number)
                why = asyncio.run(press(engine, raw, chosen.presses, chosen.seconds, until, taken))
                print(why or f"keys-{number}: stopped", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    print(taken.table(), flush=True)
    if chosen.json is not None:
        about = {"cores": os.cpu_count(), "base": chosen.base, "load": chosen.load}
        chosen.json.write_text(json.dumps({**about, **taken.as_json()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
