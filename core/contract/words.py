"""What an event is called in a list of events."""

from __future__ import annotations

from core.contract import events as e


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
            return "complete: " + (event.why or f"{event.step} steps done"), "info"
        case e.TrialFailed():
            return f"failed: {event.error}", "error"
        case e.TrialInfeasible():
            return f"infeasible: {event.why}", "warning"
        case e.TrialRequeued():
            return f"queued again ({event.retry}): {event.why}", "warning"
    return "", "info"
