"""What is wrong with a trial, in words next to its curves, and what may help: each remedy is an action."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trial_diagnosis import Diagnosis, Remedy
from core.watch.diagnosis.diagnose_trial import diagnose
from core.watch.slowness import SlowReason, describe_speed, explain, gather
from tui.theme_colors import Palette

SIGNS = {"error": "✗", "warning": "▲"}
SHARE = 100  # of a run's steps, one part of which must be done before the curves are read again


class DiagnosisPanel(OptionList):
    """Sentences, each with its remedies below; hidden where nothing is found. Tab focuses it."""

    DEFAULT_CSS = """
    DiagnosisPanel {
        height: auto; max-height: 25%; border: round $border; border-title-color: $text-muted; padding: 0 1;
        background: $background; scrollbar-size-vertical: 1;
    }
    DiagnosisPanel { border-subtitle-color: $text-muted; }
    DiagnosisPanel > .option-list--option-disabled { color: $foreground; }
    DiagnosisPanel:focus { max-height: 50%; border: round $primary; border-title-color: $primary; }
    """

    class Chosen(Message):
        """Someone wants a remedy that has a request."""

        def __init__(self, remedy: Remedy) -> None:
            super().__init__()
            self.remedy = remedy

    def __init__(self) -> None:
        super().__init__()
        self.border_title = "diagnosis"
        self.border_subtitle = "Tab ↑↓ Enter: act"
        self.display = False
        self._read: tuple[object, ...] = ()
        self._remedies: list[Remedy | None] = []

    def show(self, study: s.Study, trial: s.Trial, look: Palette, machine: s.Machine | None = None) -> None:
        """Diagnose ``trial`` where it went on since, and draw what is found; with ``machine`` also why it
        is slow, while it runs."""
        slowness = gather(machine, study, trial) if machine is not None and trial.state == s.RUNNING else None
        slow = explain(slowness) if slowness is not None else ()
        part = trial.step * SHARE // max(1, trial.total_steps)
        evaluations = len(trial.series["eval/loss"].steps) if "eval/loss" in trial.series else 0
        knobs = tuple(sorted((name, str(value)) for name, value in trial.knobs.items()))
        kinds = tuple(reason.kind for reason in slow)  # its figures change each second
        read = (
            study.name,
            trial.number,
            trial.state,
            part,
            evaluations,
            knobs,
            trial.checkpoint,
            kinds,
            look,
        )
        if read == self._read:
            return
        self._read = read
        speed = describe_speed(slowness) if slowness is not None else ""
        self._write(diagnose(study, trial), slow, speed, look)

    def _write(
        self, diagnoses: tuple[Diagnosis, ...], slow: tuple[SlowReason, ...], speed: str, look: Palette
    ) -> None:
        chosen = self.highlighted
        options, self._remedies = [], []
        for diagnosis in diagnoses:
            options += [
                _make_sentence(diagnosis, look),
                *(_make_action(remedy, look) for remedy in diagnosis.remedies),
            ]
            self._remedies += [None, *diagnosis.remedies]
        if slow:
            options += [_describe_slowness(speed, look), *(_describe_reason(reason) for reason in slow)]
            self._remedies += [None] * (1 + len(slow))
        self.set_options(options)
        self.display = bool(options)
        if chosen is not None and chosen < len(options):
            self.highlighted = chosen

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click on a remedy."""
        event.stop()
        remedy = self._remedies[event.option_index]
        if remedy is not None and remedy.request is not None:
            self.post_message(self.Chosen(remedy))


def _make_sentence(diagnosis: Diagnosis, look: Palette) -> Option:
    text = Text()
    text.append(f"{SIGNS[diagnosis.level]} ", style=look[diagnosis.level])
    text.append(sanitize(diagnosis.sentence, 400), style="bold")
    return Option(text, disabled=True)


def _make_action(remedy: Remedy, look: Palette) -> Option:
    acts = remedy.request is not None
    text = Text()
    text.append("  → " if acts else "  · ", style=look["muted"])
    text.append(sanitize(remedy.label, 200), style="" if acts else look["muted"])
    return Option(text, disabled=not acts)


def _describe_slowness(speed: str, look: Palette) -> Option:
    text = Text()
    text.append(f"{SIGNS['warning']} ", style=look["warning"])
    text.append("why it is slow" + (f": {speed}" if speed else ""), style="bold")
    return Option(text, disabled=True)


def _describe_reason(reason: SlowReason) -> Option:
    remedy = f": {reason.remedy}" if reason.remedy else ""
    return Option(Text(f"  · {sanitize(reason.sentence + remedy, 300)}"), disabled=True)
