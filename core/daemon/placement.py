"""Which device a trial goes to, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.contract.events import Device
from core.errors import TrimtabError


@dataclass(frozen=True)
class Slot:
    """A device that a worker may have: its name for people, for torch, and for CUDA_VISIBLE_DEVICES."""

    label: str  # cpu, gpu0
    torch_device: str  # cpu, or cuda:0: a worker sees its one card only
    visible: str  # the card's index or uuid; empty for the CPU


CPU = Slot("cpu", "cpu", "")


def slots(wanted: str | Sequence[int], cards: Sequence[Device], visible: str | None) -> list[Slot]:
    """The devices of a study. ``wanted`` is resources.devices, ``visible`` the engine's own
    CUDA_VISIBLE_DEVICES (None when unset). Raises TrimtabError for a card that is not there."""
    if wanted == "cpu":
        return [CPU]
    usable = [card for card in cards if _is_visible(card, visible)]
    if isinstance(wanted, str):
        if wanted == "all" and not usable:
            raise TrimtabError.of(
                "there is no GPU to use",
                "resources.devices = 'all'",
                "`trimtab doctor` says why; or take 'auto'",
            )
        return [_slot(card) for card in usable] or [CPU]
    known = {card.index: card for card in usable}
    missing = [index for index in wanted if index not in known]
    if missing:
        there = ", ".join(str(index) for index in known) or "none"
        raise TrimtabError.of(
            f"there is no GPU {missing[0]}", f"resources.devices = {list(wanted)}", f"GPUs here: {there}"
        )
    return [_slot(known[index]) for index in wanted]


def _slot(card: Device) -> Slot:
    return Slot(f"gpu{card.index}", "cuda:0", card.uuid or str(card.index))


def _is_visible(card: Device, visible: str | None) -> bool:
    if card.fault:
        return False
    if visible is None:
        return True
    names = [name.strip() for name in visible.split(",")]
    return str(card.index) in names or any(name and card.uuid.startswith(name) for name in names)


def fault_of(label: str, cards: Sequence[Device]) -> str:
    """Why the device of that label gives no readings any more; empty while it does, and for the CPU."""
    return next((card.fault for card in cards if f"gpu{card.index}" == label), "")


@dataclass(frozen=True)
class Free:
    """A device with room, and the reason for it."""

    slot: Slot
    places: int  # free ones
    why: str


def by_room(
    devices: Sequence[Slot], loads: Mapping[str, int], wanted: Mapping[str, tuple[int, str]]
) -> list[Free]:
    """The devices with free places, the most of them first. ``loads`` counts the trials by device label,
    ``wanted`` says how many there should be, and why that many where it was measured."""
    found = []
    for slot in devices:
        load, (places, why) = loads.get(slot.label, 0), wanted[slot.label]
        if load >= places:
            continue
        taken = f"{load} of {places} places taken on {slot.label}"
        because = f"{taken}; auto: {why}" if why else taken if places > 1 else f"{slot.label} was free"
        found.append(Free(slot, places - load, because))
    return sorted(found, key=lambda one: -one.places)  # of equals the first stays first
