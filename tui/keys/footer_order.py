"""The order of keys in the footers of the two screens that steer: as many are shown as fit."""

from __future__ import annotations

STUDY_BAR = (
    "trial.detail", "trial.pause", "trial.prune", "trial.reprieve", "trial.edit", "trial.clone", "trial.new",
    "list.filter", "app.boards", "app.memory", "app.insight", "app.devices", "trial.mark", "trial.compare",
    "list.sort", "list.columns", "study.change", "study.pause", "study.stop", "study.switch",
    "race.toggle", "panels.next",
    "trial.star", "trial.note", "trial.pin", "app.samples", "app.data", "app.save",
)  # fmt: skip
TRIAL_BAR = (
    "detail.back", "trial.pause", "trial.prune", "trial.reprieve", "trial.edit", "trial.clone",
    "chart.enlarge", "chart.right", "chart.smooth", "chart.zoom_in", "detail.insides", "app.boards",
    "app.memory",
    "detail.next", "trial.new", "chart.along", "chart.log", "app.insight", "app.devices", "trial.star",
    "trial.note", "trial.pin", "app.samples", "app.data", "app.save",
)  # fmt: skip
