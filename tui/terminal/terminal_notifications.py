"""What is worth a word while no one looks, and how a terminal is told: bell, desktop, title of the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from core.contract.text.sanitize import sanitize
from core.contract.views import metric_verdict
from tui.console_settings import Notices
from tui.terminal.clipboard import wrap_for_multiplexer

SILENT_TERMS = (
    "linux",
    "vt",
    "dumb",
    "ansi",
)  # beginnings of the TERM of those that may print what they ignore
RXVT_FAMILY = ("rxvt", "foot", "konsole", "vte")
RXVT_VARIABLES = ("VTE_VERSION", "KONSOLE_VERSION")
ENGINE_BACK = "the engine is back"


def list_texts(events: Iterable[e.Event], state: State, notices: Notices) -> list[str]:
    """Return the notices that ``events`` give; ``state`` is the one after them."""
    return [text for event in events if (text := _make_text(event, state, notices))]


def _make_text(event: e.Event, state: State, notices: Notices) -> str:
    if isinstance(event, e.StudyEnded) and notices.study_ended:
        return f"study {event.study} is {event.outcome}"
    if isinstance(event, e.TrialFailed) and notices.trial_failed:
        return f"trial {event.trial} of {event.study} failed: {event.error}"
    if isinstance(event, e.TrialScored) and notices.limit_broken:
        return _find_broken_limit(event, state)
    return ""


def _find_broken_limit(event: e.TrialScored, state: State) -> str:
    study = state.studies.get(event.study)
    trial = study.trials.get(event.trial) if study is not None else None
    if study is None or trial is None:
        return ""
    limits = metric_verdict.list_limits(study)
    for name in event.scores:
        if metric_verdict.judge_limits(event.scores, name, limits, trial) == "breached":
            return f"trial {event.trial} of {event.study} broke the limit of {name}"
    return ""


def make_sequence(text: str, notices: Notices, environment: Mapping[str, str]) -> str:
    """Return what announces ``text`` in this terminal."""
    term = environment.get("TERM", "")
    safe_text = sanitize(text, 200).replace(";", ",")  # it separates the parts of the sequences
    parts = ["\x07"] if notices.bell else []
    if not term.startswith(SILENT_TERMS):
        if notices.desktop:
            parts.append(_make_desktop_sequence(safe_text, term, environment))
        if notices.title:
            parts.append(make_title(safe_text))
    return "".join(parts)


def _make_desktop_sequence(text: str, term: str, environment: Mapping[str, str]) -> str:
    """Return OSC 777 for the terminals that know it, else OSC 9: one that knows both would tell it twice."""
    of_rxvt = term.startswith(RXVT_FAMILY) or any(name in environment for name in RXVT_VARIABLES)
    plain_form = f"\x1b]777;notify;trimtab;{text}\x1b\\" if of_rxvt else f"\x1b]9;trimtab: {text}\x1b\\"
    return wrap_for_multiplexer(plain_form, environment) or plain_form


def make_title(text: str) -> str:
    """Return what makes ``text`` the title of the window; inside tmux that of the pane."""
    return f"\x1b]2;{f'trimtab: {text}' if text else 'trimtab'}\x1b\\"
