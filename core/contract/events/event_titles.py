"""What an event is called in a list of events."""

from __future__ import annotations

from typing import Any

from core.contract.events import event_types as e


def words(event: e.TrialEvent) -> tuple[str, str]:
    """The event in a few words for the list, and its level; no words for readings."""
    match event:
        case e.TrialStarting():
            return f"starting on {event.device}" + (f": {event.why}" if event.why else ""), "info"
        case e.TrialRunning():
            return f"running from step {event.step} of {event.total_steps}", "info"
        case e.PauseAsked():
            return f"pause asked by {event.by}", "info"
        case e.TrialPaused():
            return f"paused at step {event.step}", "info"
        case e.ResumeAsked():
            return f"resume asked by {event.by}", "info"
        case e.TrialResumed():
            return f"resumed at step {event.step}", "info"
        case e.PruneAsked():
            return f"prune asked by {event.by}: {event.why}", "info"
        case e.TrialPruned():
            return f"pruned at step {event.step}: {event.why}", "info"
        case e.TrialCompleted():
            more = ", its last scores are to come" if event.scoring >= 0 else ""
            return f"complete: {event.why or f'{event.step} steps done'}{more}", "info"
        case e.TrialScored() if event.last:
            return f"scored at step {event.step}", "info"
        case e.ScoringEnded():
            return f"not scored further: {event.why}", "warning"
        case e.TrialFailed():
            return f"failed: {event.error}", "error"
        case e.TrialInfeasible():
            return f"infeasible: {event.why}", "warning"
        case e.EditAsked():
            told = ", ".join(f"{name} = {shown(value)}" for name, value in event.changes.items())
            return f"edit asked by {event.by}: {told}", "info"
        case e.TrialEdited():
            by = f" by {event.by}" if event.by else ""
            return f"edited{by} at step {event.step}: {changed(event.changes)}", "info"
        case e.TrialReprieved():
            return f"queued again by {event.by}, who took the prune back", "info"
        case e.TrialMarked():
            return _marked(event), "info"
        case e.TrialRequeued():
            return f"queued again ({event.retry}): {event.why}", "warning"
    return "", "info"


def shown(value: object) -> str:
    """A knob's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def changed(changes: dict[str, tuple[Any, Any]]) -> str:
    """Such as "learning_rate 0.001 → 0.0005"."""
    return ", ".join(f"{name} {shown(old)} → {shown(new)}" for name, (old, new) in changes.items())


def _marked(event: e.TrialMarked) -> str:
    told = []
    if event.starred is not None:
        told.append("starred" if event.starred else "no longer starred")
    if event.note is not None:
        told.append(f"noted: {event.note}" if event.note else "note removed")
    if event.device is not None:
        told.append(f"pinned to {event.device}" if event.device else "no longer pinned")
    if event.priority is not None:
        told.append(f"priority {event.priority}")
    return f"{', '.join(told)} (by {event.by})"
