"""A worker process without a model: speaks the real protocol by the real link, and does what knobs say.

``seed`` 1 exits in the middle of the first try, 2 falls silent, 3 cannot work at all, 5 stands still while
its link lives, 6 sets its clock back with every step, 7 dies of every try, 8 fails at step 5 of every try
and 9 of its first; anything else trains. The loss
falls with the steps, faster for a larger ``lora_rank``. It keeps trials every
``resources.checkpoint_every`` steps, and before they are pruned or leave; its checkpoints are numbers of
steps, or any folder named after one. An edit takes effect before the next step.
"""

import os
import re
import signal
import sys
import time
import tomllib
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train.commands.engine_link import Link

STEP_S = 0.004


class Scripted:
    def __init__(self, folder: Path, name: str, device: str) -> None:
        self.spec = tomllib.loads((folder / "study.toml").read_text())  # whole: pydantic's import is saved
        self.study = self.spec["study"]["name"]
        self.steps: dict[int, int] = {}
        self.knobs: dict[int, dict] = {}
        self.retries: dict[int, int] = {}
        self.edits: list[worker_api.Edit] = []  # not made yet
        self.paused: set[int] = set()
        self.folder = folder
        holds = lambda: tuple(self.steps)  # noqa: E731
        self.link = Link(Path(os.environ[worker_api.ENV_SOCKET]), name, self.study, device, holds)
        self.link.start()
        self.signal = ""
        for one in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(one, self.signalled)

    def signalled(self, number: int, frame) -> None:
        self.signal = signal.Signals(number).name
        self.link.ask(worker_api.Shutdown(self.signal))

    def tell(self, kind, trial: int, **fields) -> None:
        back_s = 3600.0 * fields.get("step", 0) if self.knobs[trial]["seed"] == 6 else 0.0
        self.link.tell(kind(at=time.time() - back_s, study=self.study, trial=trial, **fields))

    def total(self, trial: int) -> int:
        return int(self.knobs[trial]["steps"])

    def do(self, message) -> None:
        match message:
            case worker_api.Assign() if message.trial not in self.steps:
                self.knobs[message.trial] = message.knobs
                self.retries[message.trial] = message.retry
                self.edits = [edit for edit in self.edits if edit.trial != message.trial]
                step = int((re.findall(r"\d+", Path(message.checkpoint).name) or [0])[0])
                self.steps[message.trial] = step
                self.tell(e.TrialRunning, message.trial, step=step, total_steps=self.total(message.trial))
                if message.paused:
                    self.paused.add(message.trial)
                    self.tell(e.TrialPaused, message.trial, step=step)
            case worker_api.Assign() if message.paused != (
                message.trial in self.paused
            ):  # said again, and newer
                self.do((worker_api.Pause if message.paused else worker_api.Resume)(message.trial))
            case worker_api.Pause() if message.trial in self.steps:
                self.paused.add(message.trial)
                self.tell(e.TrialPaused, message.trial, step=self.steps[message.trial])
            case worker_api.Resume() if message.trial in self.steps:
                self.paused.discard(message.trial)
                self.tell(e.TrialResumed, message.trial, step=self.steps[message.trial])
            case worker_api.Prune() if message.trial in self.steps:
                self.keep(message.trial)
                self.tell(e.TrialPruned, message.trial, step=self.steps.pop(message.trial), why=message.why)
            case worker_api.Edit() if message.trial in self.steps:
                self.edits.append(message)
            case worker_api.Keep() if message.trial in self.steps:
                self.keep(message.trial)
            case worker_api.Leave() if message.trial in self.steps:
                self.keep(message.trial)
                del self.steps[message.trial]
                retry = self.retries[message.trial]
                self.tell(e.TrialRequeued, message.trial, why=message.why, retry=retry)
            case worker_api.AskTriggers() if message.triggers:
                text = f"asks with {', '.join(message.triggers)}"
                self.link.tell(e.StudyNoted(at=time.time(), study=self.study, text=text))
            case worker_api.Sample():
                words = f"{message.trial} of {message.folder or 'live'} says {message.prompt}".split()
                if message.prompt != "never":
                    for count in range(1, len(words) + 1):
                        text, done = " ".join(words[:count]), count == len(words)
                        self.link.say(worker_api.SamplePiece(message.ticket, text, count, 1, done))
            case worker_api.Shutdown():
                for trial in self.steps:
                    self.keep(trial)
                if self.signal:
                    self.link.say(worker_api.Leaving(f"its worker got {self.signal}"))
                self.link.close(5.0)
                os._exit(0)

    def keep(self, trial: int) -> None:
        step = self.steps[trial]
        place = self.folder / "trials" / str(trial) / f"step-{step}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "numbers.json").write_text(str(step))
        self.tell(e.TrialCheckpointed, trial, step=step, path=str(place))

    def edit(self, trial: int) -> None:
        """What was asked of it before its next step."""
        due = [edit for edit in self.edits if edit.trial == trial]
        self.edits = [edit for edit in self.edits if edit.trial != trial]
        for one in due:
            step, knobs, now = self.steps[trial], self.knobs[trial], dict(one.changes)
            if "steps" in now:
                now["steps"] = max(now["steps"], step + 1)
            changes = {name: (knobs.get(name), value) for name, value in now.items()}
            knobs.update(now)
            total = self.total(trial) if "steps" in now else 0
            self.tell(e.TrialEdited, trial, step=step, changes=changes, by=one.by, total_steps=total)
            self.keep(trial)

    def turn(self, trial: int) -> None:
        self.edit(trial)
        seed, step = self.knobs[trial]["seed"], self.steps[trial] + 1
        self.steps[trial] = step
        if seed == 1 and step == 5 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os._exit(3)
        if seed == 2 and step == 5 and not (self.folder / "silent").exists():
            (self.folder / "silent").touch()
            self.link._loop.call_soon_threadsafe(time.sleep, 3600)
        if seed == 5 and step == 5 and not (self.folder / "stood").exists():
            (self.folder / "stood").touch()
            time.sleep(3600)
        if seed == 7 and step == 5:
            print("Traceback: the seventh always dies", file=sys.stderr, flush=True)
            os._exit(3)
        if step == 5 and (seed == 8 or (seed == 9 and not (self.folder / f"failed-{trial}").exists())):
            (self.folder / f"failed-{trial}").touch()
            del self.steps[trial]
            told = {"error": "ValueError: it tripped", "traceback": "Traceback\n  in the middle of it"}
            self.tell(e.TrialFailed, trial, step=step, again=True, **told)
            return
        if seed == 3:
            self.link.say(worker_api.Broken("the base model cannot be loaded", "model.base", "check the id"))
            self.link.close(5.0)
            os._exit(1)
        loss = 5.0 / (1 + 0.01 * step * self.knobs[trial]["lora_rank"])
        self.tell(e.TrialReported, trial, step=step, elapsed_s=step * STEP_S, metrics={"train/loss": loss})
        every = self.spec["resources"]["checkpoint_every"]
        if every and step % every == 0:
            self.keep(trial)
        if step % self.knobs[trial].get("evaluate_every", self.spec["evaluate"]["every"]) == 0:
            self.tell(
                e.TrialEvaluated, trial, step=step, elapsed_s=step * STEP_S, metrics={"eval/loss": loss}
            )
        if step >= self.total(trial):
            del self.steps[trial]
            values = () if "feedback/strength" in str(self.spec["study"]["objectives"]) else (loss,)
            self.tell(e.TrialCompleted, trial, step=step, values=values, adapter="adapter")

    @property
    def busy(self) -> bool:
        return bool(set(self.steps) - self.paused)

    def between(self) -> None:
        """Something between two turns."""

    def run(self) -> None:
        while True:
            for message in self.link.take(wait=not self.busy):
                self.do(message)
            self.between()
            for trial in sorted(set(self.steps) - self.paused):
                self.turn(trial)
            time.sleep(STEP_S)


if __name__ == "__main__":
    Scripted(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
