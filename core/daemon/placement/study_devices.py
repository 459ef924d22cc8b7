"""Finds the devices of a study from its file, its environment and the machine."""

from __future__ import annotations

from core.contract.spec.study_spec import StudySpec
from core.daemon.event_committer import EventCommitter
from core.daemon.placement import study_device_choice
from core.daemon.placement.study_device_choice import Slot
from core.daemon.recorded_shell_variables import read_visible_cards


class Devices:
    """Finds the devices for the studies of one engine."""

    def __init__(self, committer: EventCommitter) -> None:
        self._committer = committer

    def of(self, spec: StudySpec, environment: dict[str, str]) -> list[Slot]:
        """Return the devices of ``spec``. Raises TrimtabError for a missing card, and instead of silently
        falling back to the CPU."""
        machine, visible = self._committer.state.machine, read_visible_cards(environment)
        slots = study_device_choice.choose_slots(
            spec.resources.devices, machine.devices, visible, machine.why_none
        )
        existing = self._committer.state.studies.get(spec.study.name)
        if existing is not None and spec.resources.devices != "cpu":
            ran_on = [trial.device for trial in existing.trials.values()]
            study_device_choice.refuse_another_kind(slots, ran_on, visible, machine.why_none)
        return slots

    def note(self, spec: StudySpec, slots: list[Slot], environment: dict[str, str]) -> str:
        """Return what may surprise the user about the devices ``slots``; empty if nothing does."""
        machine, devices_setting = self._committer.state.machine, spec.resources.devices
        return study_device_choice.note(
            devices_setting, slots, machine.devices, read_visible_cards(environment), machine.why_none
        )

    def first(self, environment: dict[str, str]) -> Slot:
        """Return the device that a study with ``devices = "auto"`` would use first. Raises TrimtabError if
        there is none."""
        machine = self._committer.state.machine
        return study_device_choice.choose_slots(
            "auto", machine.devices, read_visible_cards(environment), machine.why_none
        )[0]
