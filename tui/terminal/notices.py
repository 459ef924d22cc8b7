"""What is worth a word while no one looks, and how a terminal is told: bell, desktop, title of the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.text.sanitize import plain
from core.contract.views import metric_verdict
from tui.console_settings import Notices
from tui.terminal.clipboard import through_multiplexer

SILENT_TERMS = (
    "linux",
    "vt",
    "dumb",
    "ansi",
)  # beginnings of the TERM of those that may print what they ignore
RXVT_FAMILY = ("rxvt", "foot", "konsole", "vte")
RXVT_VARIABLES = ("VTE_VERSION", "KONSOLE_VERSION")
ENGINE_BACK = "the engine is back"


def texts_of(events: Iterable[e.Event], state: State, wanted: Notices) -> list[str]:
    """Return the notices that ``events`` give; ``state`` is the one after them."""
    return [text for event in events if (text := _text_of(event, state, wanted))]


def _text_of(event: e.Event, state: State, wanted: Notices) -> str:
    if isinstance(event, e.StudyEnded) and wanted.study_ended:
        return f"study {event.study} is {event.outcome}"
    if isinstance(event, e.TrialFailed) and wanted.trial_failed:
        return f"trial {event.trial} of {event.study} failed: {event.error}"
    if isinstance(event, e.TrialScored) and wanted.limit_broken:
        return _broken_limit(event, state)
    return ""


def _broken_limit(event: e.TrialScored, state: State) -> str:
    study = state.studies.get(event.study)
    trial = study.trials.get(event.trial) if study is not None else None
    if study is None or trial is None:
        return ""
    limits = metric_verdict.limits(study)
    for name in event.scores:
        if metric_verdict.judge_limits(event.scores, name, limits, trial) == "breached":
            return f"trial {event.trial} of {event.study} broke the limit of {name}"
    return ""


def sequence(text: str, wanted: Notices, environment: Mapping[str, str]) -> str:
    """Return what announces ``text`` in this terminal."""
    term = environment.get("TERM", "")
    shown = plain(text, 200).replace(";", ",")  # it separates the parts of the sequences
    parts = ["\x07"] if wanted.bell else []
    if not term.startswith(SILENT_TERMS):
        if wanted.desktop:
            parts.append(_desktop(shown, term, environment))
        if wanted.title:
            parts.append(title(shown))
    return "".join(parts)


def _desktop(text: str, term: str, environment: Mapping[str, str]) -> str:
    """Return OSC 777 for the terminals that know it, else OSC 9: one that knows both would tell it twice."""
    of_rxvt = term.startswith(RXVT_FAMILY) or any(name in environment for name in RXVT_VARIABLES)
    plain_form = f"\x1b]777;notify;trimtab;{text}\x1b\\" if of_rxvt else f"\x1b]9;trimtab: {text}\x1b\\"
    return through_multiplexer(plain_form, environment) or plain_form


def title(text: str) -> str:
    """Return what makes ``text`` the title of the window; inside tmux that of the pane."""
    return f"\x1b]2;{f'trimtab: {text}' if text else 'trimtab'}\x1b\\"
