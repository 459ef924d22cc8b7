"""The machine's state after a reading."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.state import engine_state as s


def read_machine(machine: s.Machine, event: e.MachineRead) -> s.Machine:
    """Return the latest reading, and the history of each device including it."""
    past = {str(device.index): _past(machine.past.get(str(device.index)), _share(device), device.utilisation)
            for device in event.devices}  # fmt: skip
    past["host"] = _past(machine.past.get("host"), _share(event.host), event.host.cpu)
    return s.Machine(event.at, event.devices, event.host, event.workers, event.why_none, past)


def _share(device: e.Device | e.Host) -> float | None:
    return (
        device.used_bytes / device.total_bytes
        if device.used_bytes is not None and device.total_bytes
        else None
    )


def _past(past: s.Past | None, used: float | None, utilisation: float | None) -> s.Past:
    before = past or s.Past()
    keep = s.MACHINE_POINTS - 1
    return s.Past((*before.used[-keep:], used), (*before.utilisation[-keep:], utilisation))
