"""Finds the devices of a study from its file, its environment and the machine."""

from __future__ import annotations

from core.contract.spec.study_spec import StudySpec
from core.daemon.placement import device_choice
from core.daemon.placement.device_choice import Slot
from core.daemon.study_env_vars import read_visible_cards
from core.daemon.supervisor import Supervisor


class Devices:
    """Finds the devices for the studies of one engine."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def of(self, spec: StudySpec, environment: dict[str, str]) -> list[Slot]:
        """Return the devices of ``spec``. Raises TrimtabError for a missing card, and instead of silently
        falling back to the CPU."""
        machine, visible = self._supervisor.state.machine, read_visible_cards(environment)
        slots = device_choice.choose_slots(spec.resources.devices, machine.devices, visible, machine.why_none)
        existing = self._supervisor.state.studies.get(spec.study.name)
        if existing is not None and spec.resources.devices != "cpu":
            ran_on = [trial.device for trial in existing.trials.values()]
            device_choice.refuse_another_kind(slots, ran_on, visible, machine.why_none)
        return slots

    def note(self, spec: StudySpec, slots: list[Slot], environment: dict[str, str]) -> str:
        """Return what may surprise the user about the devices ``slots``; empty if nothing does."""
        machine, devices_setting = self._supervisor.state.machine, spec.resources.devices
        return device_choice.note(
            devices_setting, slots, machine.devices, read_visible_cards(environment), machine.why_none
        )

    def first(self, environment: dict[str, str]) -> Slot:
        """Return the device that a study with ``devices = "auto"`` would use first. Raises TrimtabError if
        there is none."""
        machine = self._supervisor.state.machine
        return device_choice.choose_slots(
            "auto", machine.devices, read_visible_cards(environment), machine.why_none
        )[0]
