"""Steers all selected trials at once, after one question that says how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from tui.base.confirm_dialog import Confirm
from tui.forms.form_screen import FormScreen
from tui.steering import trial_forms
from tui.steering.edit_clone_mark_actions import SteeringScreen

MOST_NAMED = 12  # trials that a question names
Request = Callable[[s.Trial], console_api.AnyRequest]


class BulkScreen(SteeringScreen):
    """A screen whose keys act on the selected trials where there are any, else on the one under the
    cursor."""

    def list_selected_trials(self) -> list[s.Trial]:
        """Return the trials that are selected."""
        raise NotImplementedError

    def count_hidden_selected(self) -> int:
        """Return how many of them the filter hides."""
        raise NotImplementedError

    def label_key(self, key_id: str, label: str) -> str:
        """Return the key's own word while trials are selected: each act says on which of them it has one."""
        return label if self.list_selected_trials() else super().label_key(key_id, label)

    def action_pause(self) -> None:
        """Pause the selected trials that run; if none does, resume those that are paused."""
        study, trials = self.study, self.list_selected_trials()
        if study is None or not trials:
            super().action_pause()
            return
        running = [trial for trial in trials if trial.state in s.ON_WORKER and trial.state != s.PAUSED]
        paused = [trial for trial in trials if trial.state == s.PAUSED]
        if running:
            kept_text = "They stop after their micro-batch and keep all they have; p resumes them."
            self._ask_all(
                "Pause", running, kept_text, lambda trial: console_api.PauseTrial(study.name, trial.number)
            )
        else:
            self._ask_all(
                "Resume",
                paused,
                "They go on where they stood.",
                lambda trial: console_api.ResumeTrial(study.name, trial.number),
            )

    def action_prune(self) -> None:
        """Prune the selected trials that have not ended."""
        study, trials = self.study, self.list_selected_trials()
        if study is None or not trials:
            super().action_prune()
            return
        live = [trial for trial in trials if trial.state not in s.ENDED]
        kept_text = "Their curves stay. Those that have trained keep a checkpoint: u takes the prunes back."
        self._ask_all(
            "Prune", live, kept_text, lambda trial: console_api.PruneTrial(study.name, trial.number)
        )

    def action_reprieve(self) -> None:
        """Queue the selected pruned trials again."""
        study, trials = self.study, self.list_selected_trials()
        if study is None or not trials:
            super().action_reprieve()
            return
        pruned = [trial for trial in trials if trial.state == s.PRUNED]
        kept_text = "They go on from their checkpoints."
        self._ask_all(
            "Unprune",
            pruned,
            kept_text,
            lambda trial: console_api.ReprieveTrial(study.name, trial.number),
        )

    def action_star(self) -> None:
        """Star the selected trials, or unstar them if all have a star. Nothing is lost: no question."""
        study, trials = self.study, self.list_selected_trials()
        if study is None or not trials:
            super().action_star()
            return
        starred = not all(trial.starred for trial in trials)
        for trial in trials:
            if trial.starred != starred:
                self.console.ask(console_api.MarkTrial(study.name, trial.number, starred=starred))
        self.console.say(f"{'starred' if starred else 'unstarred'} {count(len(trials))}")

    def action_priority(self, by: int) -> None:
        """Move the selected queued trials up or down in the queue."""
        study, trials = self.study, self.list_selected_trials()
        if study is None or not trials:
            super().action_priority(by)
            return
        queued = [trial for trial in trials if trial.state == s.QUEUED]
        for trial in queued:
            self.console.ask(console_api.MarkTrial(study.name, trial.number, priority=trial.priority + by))
        self.console.say(f"{count(len(queued))} moved in the queue" if queued else "none of them is queued")

    def action_clone(self) -> None:
        """Open one form for clones of all selected trials that have something to go on from."""
        study, trials = self.study, self.list_selected_trials()
        sources = [trial for trial in trials if trial.state in (s.RUNNING, s.PAUSED) or trial.checkpoint]
        if study is None or len(sources) < 2 or not self._can_take_trials(study):
            super().action_clone()
            return
        knob_changes: dict[str, Any] = {}

        def build(changes: dict[str, Any]) -> console_api.AnyRequest | str:
            knob_changes.update(changes=changes)
            return console_api.CloneTrial(study.name, sources[0].number, changes)

        def ask_for_the_others(answer: console_api.Answer | bool | None) -> None:
            if not isinstance(answer, console_api.Queued):
                return
            for trial in sources[1:]:
                self.console.ask(console_api.CloneTrial(study.name, trial.number, knob_changes["changes"]))
            self.console.say(f"queued {count(len(sources))}")

        about = f"{join_names(sources)}: each goes on from where it stands. x0.5 halves each one's own value."
        ask, look, rows = (
            self.console.engine.ask,
            self.console.look,
            trial_forms.make_clone_rows(study, sources[0]),
        )
        form = FormScreen(f"clones of {count(len(sources))}", about, "queues all", rows, build, ask, look)
        self.app.push_screen(form, ask_for_the_others)

    def _ask_all(self, act: str, trials: Sequence[s.Trial], kept_text: str, request: Request) -> None:
        """Ask once, naming how many and which, then send a request for each."""
        if not trials:
            states = ", ".join(sorted({trial.state for trial in self.list_selected_trials()}))
            self.console.say(f"nothing to {act.lower()}: they are {states}")
            return
        selected, hidden = len(self.list_selected_trials()), self.count_hidden_selected()
        left_out = selected - len(trials)
        detail = [f"{join_names(trials)}. {kept_text}"]
        if left_out:
            detail.append(f"Nothing happens to the other {left_out} of {selected} selected.")
        if hidden:
            detail.append(f"The filter hides {hidden} of the selected trials.")

        def act_if_confirmed(yes: bool | None) -> None:
            for trial in trials if yes else ():
                self.console.ask(request(trial))

        self.app.push_screen(Confirm(f"{act} {count(len(trials))}?", " ".join(detail)), act_if_confirmed)


def count(trials: int) -> str:
    """Return such as "1 trial", "3 trials"."""
    return f"{trials} trial{'s' * (trials != 1)}"


def join_names(trials: Sequence[s.Trial]) -> str:
    """Return such as "#3 #5 #7", or the first of many."""
    names = " ".join(f"#{trial.number}" for trial in trials[:MOST_NAMED])
    return names + (f" and {len(trials) - MOST_NAMED} more" if len(trials) > MOST_NAMED else "")
