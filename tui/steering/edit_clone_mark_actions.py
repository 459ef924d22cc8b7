"""Steers a running study: new trials, clones, edits, marks, undoing prunes, changes of the study."""

from __future__ import annotations

from typing import Any

from core.contract.edits.input_values import Read
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from tui.base.base_screen import StudyScreen
from tui.forms.form_row_data import Row
from tui.forms.form_screen import Build, FormScreen
from tui.keys.key_declarations import CHANGE, CLONE, EDIT, PAUSE, PAUSE_ALL, PRUNE, STEERING, STOP, UNDO
from tui.steering import trial_forms
from tui.steering.pin_device_screen import Pin
from tui.steering.study_change_screen import ChangeScreen

NOTE = "note"
CHANGING = frozenset(key.id for key in (*STEERING, PAUSE, PAUSE_ALL, PRUNE, STOP))
OF_ALIVE = (PAUSE.id, PRUNE.id, EDIT.id)  # keys that do nothing to a trial that has ended


class SteeringScreen(StudyScreen):
    """A screen whose keys steer the selected trial, and the study."""

    def label_key(self, key_id: str, label: str) -> str:
        """Return what a key does to the selected trial in its state; empty where it would do nothing."""
        study, trial = self.study, self.find_selected_trial()
        if self.console.engine.read_only and key_id in CHANGING:
            return ""
        if key_id in (STOP.id, CHANGE.id) and (study is None or study.state not in s.LIVE_STUDY):
            return ""
        if key_id == PAUSE_ALL.id and study is not None and study.state == "paused":
            return "resume all"
        if key_id not in OF_ALIVE and key_id not in (UNDO.id, CLONE.id):
            return label
        if trial is None:
            return ""
        if key_id == UNDO.id:
            return label if trial.state == s.PRUNED else ""
        if key_id == CLONE.id:
            return label if trial.checkpoint or trial.state in (s.RUNNING, s.PAUSED) else ""
        if key_id == PAUSE.id and trial.state == s.PAUSED:
            return "resume"
        return "" if trial.state in s.ENDED else label

    # -- forms ------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Open the form of a new trial, filled in from the selected one."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or not self._can_take_trials(study):
            return
        origin = f" · like trial {trial.number}" if trial is not None else ""
        about = (
            "It is added to the planned trials. The sampler chooses the searched knobs that are left empty."
        )
        rows = trial_forms.make_new_rows(study, trial)
        self._open(
            f"new trial{origin}", about, "queues it", rows,
            lambda changes: trial_forms.make_enqueue_request(study, trial, changes),
        )  # fmt: skip

    def action_clone(self) -> None:
        """Open the form of a clone of the selected trial."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None or not self._can_take_trials(study):
            return
        if trial.state not in (s.RUNNING, s.PAUSED) and not trial.checkpoint:
            self.console.say(f"trial {trial.number} has no checkpoint: n queues a new trial like it")
            return
        alive = trial.state in (s.RUNNING, s.PAUSED)
        at = f"its current step {trial.step}" if alive else f"its checkpoint at step {trial.checkpoint_step}"
        best = best_and_counts.find_best_kept_step(study, trial)
        away = best_and_counts.find_best_step(study, trial) if best is None else None
        about = f"It continues from {at}; the original stays. Its result is not reported to the sampler."
        if away is not None:
            about += f" Of its best step {away} no checkpoint is kept."
        self._open(
            f"clone of trial {trial.number}", about, "queues it",
            trial_forms.make_clone_rows(study, trial, best),
            lambda changes: trial_forms.make_clone_request(study, trial, changes),
        )  # fmt: skip

    def action_edit(self) -> None:
        """Open the form that edits the selected trial."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        if trial.state in s.ENDED:
            self.console.say(
                f"trial {trial.number} is {trial.state}: c clones it, n queues a new trial like it"
            )
            return
        at = f"is at step {trial.step} of {trial.total_steps}" if trial.total_steps else "has not started"
        about = f"The trial {at}. Changes apply from the next step and are marked on its curves."

        def build(changes: dict[str, Any]) -> console_api.AnyRequest | str:
            knobs = {name: value for name, value in changes.items() if name != trial_forms.COUNTED}
            counted = bool(changes.get(trial_forms.COUNTED))
            if not knobs:
                return "nothing has changed yet"
            return console_api.EditTrial(study.name, trial.number, knobs, counted)

        self._open(
            f"edit trial {trial.number} live",
            about,
            "applies",
            trial_forms.make_edit_rows(study, trial),
            build,
        )

    def action_note(self) -> None:
        """Open the form of the trial's note."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        row = Row(NOTE, trial.note, "any text; empty removes it", "shown with the trial", Read)

        def build(changes: dict[str, Any]) -> console_api.AnyRequest | str:
            if NOTE not in changes:
                return "the note has not changed"
            return console_api.MarkTrial(study.name, trial.number, note=changes[NOTE].strip())

        self._open(f"note on trial {trial.number}", "", "saves", [row], build, width=60)

    def action_change(self) -> None:
        """Open the form that changes the study."""
        study = self.study
        if study is None:
            return
        if study.state not in s.LIVE_STUDY:
            self.console.say(f"the study is {study.state}: it can no longer be changed")
            return

        def done(answer: console_api.Answer | bool | None) -> None:
            if answer:
                self.console.say(f"{study.name} was changed")

        self.app.push_screen(ChangeScreen(study, self.console.engine.ask, self.console.look), done)

    def _open(
        self, title: str, about: str, does: str, rows: list[Row], build: Build, width: int = 18
    ) -> None:
        def done(answer: console_api.Answer | bool | None) -> None:
            if isinstance(answer, console_api.Queued):
                self.console.say(f"queued as trial {answer.trial}")

        ask, look = self.console.engine.ask, self.console.look
        self.app.push_screen(FormScreen(title, about, does, rows, build, ask, look, width), done)

    def _can_take_trials(self, study: s.Study) -> bool:
        """Return whether the study accepts new trials; a complete study continues for them."""
        takes = study.state in ("running", "paused", "complete")
        if not takes:
            self.console.say(f"the study is {study.state}: no new trials can start")
        return takes

    # -- at once ----------------------------------------------------------------------------------

    def action_reprieve(self) -> None:
        """Queue a pruned trial again."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        if trial.state != s.PRUNED:
            self.console.say(f"trial {trial.number} is {trial.state}, not pruned")
            return
        self.console.ask(console_api.ReprieveTrial(study.name, trial.number))

    def action_star(self) -> None:
        """Star or unstar the trial."""
        study, trial = self.study, self.find_selected_trial()
        if study is not None and trial is not None:
            self.console.ask(console_api.MarkTrial(study.name, trial.number, starred=not trial.starred))

    def action_priority(self, by: int) -> None:
        """Change the trial's priority in the queue."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        if trial.state != s.QUEUED:
            self.console.say(f"trial {trial.number} is {trial.state}: only queued trials have a priority")
            return
        self.console.ask(console_api.MarkTrial(study.name, trial.number, priority=trial.priority + by))

    def action_pin(self) -> None:
        """Let the user pin the trial to a device."""
        study, trial = self.study, self.find_selected_trial()
        if study is None or trial is None:
            return
        if trial.state in s.ENDED:
            self.console.say(f"trial {trial.number} is already {trial.state}")
            return

        def pin_to(device: str | None) -> None:
            if device is not None and device != trial.pinned:
                self.console.ask(console_api.MarkTrial(study.name, trial.number, device=device))

        machine = self.console.engine.state.machine
        self.app.push_screen(
            Pin(sanitize(str(trial.number)), trial.pinned, list_places(study, machine)), pin_to
        )


def list_places(study: s.Study, machine: s.Machine) -> dict[str, str]:
    """Return the devices that the study may use, with their names."""
    devices_setting = study.settings.resources.devices
    cards = {f"gpu{device.index}": device.name for device in machine.devices if not device.fault}
    if isinstance(devices_setting, tuple):
        return {f"gpu{index}": cards.get(f"gpu{index}", "") for index in devices_setting}
    devices = cards if cards and devices_setting != "cpu" else {"cpu": "the CPU"}
    return devices | {
        trial.device: devices.get(trial.device, "") for trial in study.trials.values() if trial.device
    }
