"""The states of a trial and of a study, by name."""

from __future__ import annotations

QUEUED, STARTING, RUNNING, PAUSED = "queued", "starting", "running", "paused"
COMPLETE, PRUNED, FAILED, INFEASIBLE = "complete", "pruned", "failed", "infeasible"
ENDED = frozenset({COMPLETE, PRUNED, FAILED, INFEASIBLE})
ON_WORKER = frozenset({STARTING, RUNNING, PAUSED})  # a worker has the trial
OPEN = frozenset({QUEUED}) | ON_WORKER  # the trial has not ended
BEGUN = frozenset({RUNNING, PAUSED})
LIVE_STUDY = frozenset({"running", "paused", "stopping"})
