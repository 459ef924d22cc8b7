"""Finds who holds a device's memory: the study's trials, other processes, free memory. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import DeviceMemory
from tui.memory.bar_segments import (
    Share,
    group_by_trial,
    make_kind_share,
    make_reserve_share,
    make_trial_share,
)

NAMED = 5  # other processes that get a piece of their own; the smaller ones share one
UNSEEN = 0.01  # of a device: less than that unaccounted for is not worth a word
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def find_device(label: str, machine: s.Machine) -> e.Device | None:
    """Return the latest state of a device such as "gpu0"; None for the host and unread devices."""
    index = label.removeprefix("gpu")
    return next((device for device in machine.devices if str(device.index) == index), None)


def find_history(label: str, machine: s.Machine) -> s.Past:
    """The history of a device's use."""
    return machine.past.get(label.removeprefix("gpu") if label != "cpu" else "host", s.Past())


def find_pack(label: str, study: s.Study) -> e.PackMeasured | None:
    """What the worker on a device measured last."""
    return next((pack for pack in study.packs.values() if pack.device == label and pack.trials), None)


def list_own_shares(now: DeviceMemory, study: s.Study) -> list[Share]:
    """Return the trials' peak memory as estimated, or as measured if there is no estimate."""
    if now.foretold is not None:
        return group_by_trial(now.foretold, now.reserve_bytes)
    pack = find_pack(now.label, study)
    if pack is None:
        return []
    held_bytes = sum(pack.trial_bytes.values())
    trials = [
        make_trial_share(number, pack.trial_bytes[number], place)
        for place, number in enumerate(sorted(pack.trial_bytes))
    ]
    moment = max(0, pack.used_bytes - pack.base_bytes - held_bytes)
    shares = [make_kind_share("base model", pack.base_bytes), *trials, make_kind_share("activations", moment)]
    return [*shares, make_reserve_share(pack.reserve_bytes)] if pack.reserve_bytes else shares


def list_other_shares(label: str, study: s.Study, machine: s.Machine, own: Sequence[Share]) -> list[Share]:
    """Other processes now, largest first."""
    workers = {worker.pid: worker for worker in machine.workers if worker.study in ("", study.name)}
    card = find_device(label, machine)
    if card is None:
        return _list_rest_of_host(machine, workers) if label == "cpu" else []
    processes = [process for process in card.processes if process.pid not in workers]
    processes.sort(key=lambda process: (-(process.used_bytes or 0), process.pid))
    named = [_describe_process(process, place) for place, process in enumerate(processes[:NAMED])]
    if len(processes) > NAMED:
        unnamed_bytes = sum(process.used_bytes or 0 for process in processes[NAMED:])
        named.append(_make_other(len(named), f"{len(processes) - NAMED} more processes", unnamed_bytes))
    unseen = _count_unlisted_bytes(card, workers, own)
    return [*named, _make_other(len(named), "not named by the driver", unseen)] if unseen else named


def _count_unlisted_bytes(card: e.Device, workers: dict[int, e.Worker], own: Sequence[Share]) -> int:
    """Return the used bytes of no listed process. In a container the driver may not list our worker: then
    up to its own peak is counted as ours."""
    listed = sum(process.used_bytes or 0 for process in card.processes)
    rest = (card.used_bytes or 0) - listed
    if not any(process.pid in workers and process.used_bytes for process in card.processes):
        rest -= sum(share.used_bytes for share in own)
    return rest if rest > UNSEEN * (card.total_bytes or 0) else 0


def _list_rest_of_host(machine: s.Machine, workers: dict[int, e.Worker]) -> list[Share]:
    rest = (machine.host.used_bytes or 0) - sum(worker.rss_bytes or 0 for worker in workers.values())
    return [_make_other(0, "other processes of this machine", rest)] if rest > 0 else []


def _describe_process(process: e.Process, place: int) -> Share:
    unsaid = "" if process.used_bytes is not None else " (size unknown)"
    return _make_other(
        place,
        f"{sanitize(process.user, 12)} pid {process.pid} {sanitize(process.name, 16)}{unsaid}",
        process.used_bytes or 0,
    )


def _make_other(place: int, label: str, used_bytes: int) -> Share:
    return Share(LETTERS[place], label, max(0, used_bytes), "others", "x")


def make_free_share(shares: Sequence[Share], total_bytes: int) -> Share:
    """What is left."""
    return Share("·", "free", max(0, total_bytes - sum(share.used_bytes for share in shares)), "")


def list_fallback_devices(study: s.Study, machine: s.Machine, why: str) -> list[DeviceMemory]:
    """Return the study's devices from the console's own state, until the engine has estimated them."""
    totals = {f"gpu{device.index}": device.total_bytes or 0 for device in machine.devices}
    if not totals:
        totals = {"cpu": machine.host.total_bytes or 0}
    used = {pack.device for pack in study.packs.values() if pack.trials}
    used |= {trial.device for trial in study.trials.values() if trial.state in s.ON_WORKER}
    return [
        DeviceMemory(label, total, None, "", why_not=why)
        for label, total in totals.items()
        if label in used or not used & set(totals)
    ]
