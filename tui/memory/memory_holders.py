"""Finds who holds a device's memory: the study's trials, other processes, free memory. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.events import event_types as e
from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.wire.memory_forecast import DeviceMemory
from tui.memory.bar_segments import Share, by_trial, kind, reserve, trial

NAMED = 5  # other processes that get a piece of their own; the smaller ones share one
UNSEEN = 0.01  # of a device: less than that unaccounted for is not worth a word
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def card_of(label: str, machine: s.Machine) -> e.Device | None:
    """Return the latest state of a device such as "gpu0"; None for the host and unread devices."""
    index = label.removeprefix("gpu")
    return next((one for one in machine.devices if str(one.index) == index), None)


def past_of(label: str, machine: s.Machine) -> s.Past:
    """The history of a device's use."""
    return machine.past.get(label.removeprefix("gpu") if label != "cpu" else "host", s.Past())


def pack_of(label: str, study: s.Study) -> e.PackMeasured | None:
    """What the worker on a device measured last."""
    return next((one for one in study.packs.values() if one.device == label and one.trials), None)


def ours(now: DeviceMemory, study: s.Study) -> list[Share]:
    """Return the trials' peak memory as estimated, or as measured if there is no estimate."""
    if now.foretold is not None:
        return by_trial(now.foretold, now.reserve_bytes)
    pack = pack_of(now.label, study)
    if pack is None:
        return []
    held = sum(pack.trial_bytes.values())
    trials = [trial(one, pack.trial_bytes[one], place) for place, one in enumerate(sorted(pack.trial_bytes))]
    moment = max(0, pack.used_bytes - pack.base_bytes - held)
    found = [kind("base model", pack.base_bytes), *trials, kind("activations", moment)]
    return [*found, reserve(pack.reserve_bytes)] if pack.reserve_bytes else found


def others(label: str, study: s.Study, machine: s.Machine, own: Sequence[Share]) -> list[Share]:
    """Other processes now, largest first."""
    workers = {one.pid: one for one in machine.workers if one.study in ("", study.name)}
    card = card_of(label, machine)
    if card is None:
        return _rest_of_host(machine, workers) if label == "cpu" else []
    found = [one for one in card.processes if one.pid not in workers]
    found.sort(key=lambda one: (-(one.used_bytes or 0), one.pid))
    named = [_process(one, place) for place, one in enumerate(found[:NAMED])]
    if len(found) > NAMED:
        more = sum(one.used_bytes or 0 for one in found[NAMED:])
        named.append(_other(len(named), f"{len(found) - NAMED} more processes", more))
    unseen = _unseen(card, workers, own)
    return [*named, _other(len(named), "not named by the driver", unseen)] if unseen else named


def _unseen(card: e.Device, workers: dict[int, e.Worker], own: Sequence[Share]) -> int:
    """Return the used bytes of no listed process. In a container the driver may not list our worker: then
    up to its own peak is counted as ours."""
    listed = sum(one.used_bytes or 0 for one in card.processes)
    rest = (card.used_bytes or 0) - listed
    if not any(one.pid in workers and one.used_bytes for one in card.processes):
        rest -= sum(share.used_bytes for share in own)
    return rest if rest > UNSEEN * (card.total_bytes or 0) else 0


def _rest_of_host(machine: s.Machine, workers: dict[int, e.Worker]) -> list[Share]:
    rest = (machine.host.used_bytes or 0) - sum(one.rss_bytes or 0 for one in workers.values())
    return [_other(0, "other processes of this machine", rest)] if rest > 0 else []


def _process(one: e.Process, place: int) -> Share:
    unsaid = "" if one.used_bytes is not None else " (size unknown)"
    return _other(
        place, f"{plain(one.user, 12)} pid {one.pid} {plain(one.name, 16)}{unsaid}", one.used_bytes or 0
    )


def _other(place: int, label: str, used_bytes: int) -> Share:
    return Share(LETTERS[place], label, max(0, used_bytes), "others", "x")


def free(shares: Sequence[Share], total_bytes: int) -> Share:
    """What is left."""
    return Share("·", "free", max(0, total_bytes - sum(one.used_bytes for one in shares)), "")


def standins(study: s.Study, machine: s.Machine, why: str) -> list[DeviceMemory]:
    """Return the study's devices from the console's own state, until the engine has estimated them."""
    totals = {f"gpu{one.index}": one.total_bytes or 0 for one in machine.devices}
    if not totals:
        totals = {"cpu": machine.host.total_bytes or 0}
    used = {one.device for one in study.packs.values() if one.trials}
    used |= {one.device for one in study.trials.values() if one.state in s.ON_WORKER}
    return [
        DeviceMemory(label, total, None, "", why_not=why)
        for label, total in totals.items()
        if label in used or not used & set(totals)
    ]
