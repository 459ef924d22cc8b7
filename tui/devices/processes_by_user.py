"""Whose processes hold the devices, by user, with the trials that ours train. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core.contract.events.event_types import Device, Process
from core.contract.state import engine_state as s


@dataclass(frozen=True)
class Holder:
    """One process on one device; ``share`` of the device's memory, ``trials`` of it where it is a worker."""

    device: int
    process: Process
    share: float | None
    ours: bool
    study: str = ""
    trials: tuple[int, ...] = ()


@dataclass(frozen=True)
class UserHolds:
    """All that a user holds, the most first; ``used_bytes`` is what the driver says of it."""

    user: str
    used_bytes: int
    share: float | None  # of the memory of all devices
    utilisation: float | None  # of the time of all devices, as far as the driver says it
    holders: tuple[Holder, ...]


def group_by_user(state: s.State) -> list[UserHolds]:
    """Return who holds device memory, the most first. A process that no user is known of has an empty one."""
    devices = [device for device in state.machine.devices if not device.mig]
    total_bytes = sum(device.total_bytes or 0 for device in devices)
    by_user: dict[str, list[Holder]] = {}
    for device in devices:
        for process in device.processes:
            by_user.setdefault(process.user, []).append(_make_holder(state, device, process))
    users = []
    for user, holders in by_user.items():
        used = sum(holder.process.used_bytes or 0 for holder in holders)
        holders.sort(key=lambda holder: -(holder.process.used_bytes or 0))
        busy = [holder.process.utilisation for holder in holders if holder.process.utilisation is not None]
        users.append(
            UserHolds(
                user,
                used,
                used / total_bytes if total_bytes else None,
                sum(busy) / len(devices) if busy else None,
                tuple(holders),
            )
        )
    return sorted(users, key=lambda holds: (-holds.used_bytes, holds.user))


def _make_holder(state: s.State, device: Device, process: Process) -> Holder:
    worker = next((worker for worker in state.machine.workers if worker.pid == process.pid), None)
    is_known = process.used_bytes is not None and device.total_bytes
    share = (process.used_bytes or 0) / (device.total_bytes or 1) if is_known else None
    if worker is None:
        return Holder(device.index, process, share, False)
    study = state.studies.get(worker.study)
    trials = [
        trial.number
        for trial in (study.trials.values() if study is not None else ())
        if trial.worker == worker.name and trial.state in s.ON_WORKER
    ]
    return Holder(device.index, process, share, True, worker.study, tuple(sorted(trials)))
