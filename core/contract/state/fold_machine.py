"""The machine's state after a reading."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.machine_history import Numbers, add_reading

KB = 1000.0  # bytes


def read_machine(machine: s.Machine, event: e.MachineRead) -> s.Machine:
    """Return the latest reading, and the history of each device with it."""
    past = {
        str(device.index): _extend_past(
            machine.past.get(str(device.index)),
            event.at,
            (_find_share(device), device.utilisation),
            (device.power_w, device.temperature_c),
        )
        for device in event.devices
    }
    host = event.host
    past["host"] = _extend_past(
        machine.past.get("host"),
        event.at,
        (_find_share(host), host.cpu),
        (_scale_value(host.received_bytes_s, 1 / KB), _scale_value(host.sent_bytes_s, 1 / KB)),
    )
    return s.Machine(event.at, event.devices, event.host, event.workers, event.why_none, past)


def _find_share(device: e.Device | e.Host) -> float | None:
    return (
        device.used_bytes / device.total_bytes
        if device.used_bytes is not None and device.total_bytes
        else None
    )


def _scale_value(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _extend_past(
    past: s.Past | None,
    at: float,
    shares: tuple[float | None, float | None],
    extra_numbers: tuple[float | None, ...],
) -> s.Past:
    before = past or s.Past()
    keep = s.MACHINE_POINTS - 1
    read = (*(_scale_value(share, 100.0) for share in shares), *extra_numbers)
    numbers: Numbers = tuple(None if number is None else round(number) for number in read)
    return s.Past(
        (*before.used[-keep:], shares[0]),
        (*before.utilisation[-keep:], shares[1]),
        *(add_reading(track, at, numbers) for track in (before.minute, before.hour, before.day)),
    )
