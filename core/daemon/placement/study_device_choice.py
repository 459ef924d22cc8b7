"""Chooses a study's devices by its setting, the cards and CUDA_VISIBLE_DEVICES; sorts them by room. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.contract.events.event_types import Device
from core.contract.text.sanitize import sanitize
from core.contract.wire.shell_environment import HIDES, hides_gpus, parse_card_number
from core.errors import TrimtabError


@dataclass(frozen=True)
class Slot:
    """A device that a worker may use: its name for users, for torch, and for CUDA_VISIBLE_DEVICES."""

    label: str  # cpu, gpu0
    torch_device: str  # cpu, or cuda:0: a worker sees only its own card
    visible: str  # the card's uuid; its NVML index where the driver gives none; empty for the CPU


CPU = Slot("cpu", "cpu", "")


def choose_slots(
    devices_setting: str | Sequence[int], cards: Sequence[Device], visible: str | None, why_none: str = ""
) -> list[Slot]:
    """Return the devices of a study. ``devices_setting`` is resources.devices, ``visible`` its
    CUDA_VISIBLE_DEVICES (None if not set), ``why_none`` says why there are no cards.

    Raises TrimtabError for a card that does not exist, and if "auto" would fall back to the CPU although GPUs
    exist or were named.
    """
    if devices_setting == "cpu":
        return [CPU]
    visible_cards, _ = _list_visible_cards(cards, visible)
    usable = [card for card in visible_cards if not _explain_unusable(card)]
    if isinstance(devices_setting, str):
        if not usable and (
            devices_setting == "all" or not (hides_gpus(visible) or _has_no_gpu(cards, visible))
        ):
            raise TrimtabError.of(
                "there is no usable GPU" + _explain_absence(visible_cards, cards, visible, why_none),
                f"resources.devices = {devices_setting!r}",
                "run `trimtab doctor` for the cause, or set devices = 'cpu'",
            )
        return [_make_slot(card) for card in usable] or [CPU]
    by_index = {card.index: card for card in usable}
    missing = [index for index in devices_setting if index not in by_index]
    if missing:
        indices = ", ".join(str(index) for index in by_index) or "none"
        why = next(
            (
                f": {_explain_unusable(card)}"
                for card in cards
                if card.index == missing[0] and _explain_unusable(card)
            ),
            "",
        )
        raise TrimtabError.of(
            f"GPU {missing[0]} is not available{why}",
            f"resources.devices = {list(devices_setting)}",
            f"GPUs here: {indices}" + ("" if visible is None else f", by {_quote_visible(visible)}"),
        )
    return [_make_slot(by_index[index]) for index in dict.fromkeys(devices_setting)]


def note(
    devices_setting: str | Sequence[int],
    devices: Sequence[Slot],
    cards: Sequence[Device],
    visible: str | None,
    why_none: str = "",
) -> str:
    """Return what may surprise the user about ``devices``; empty if nothing does."""
    if devices_setting == "cpu":
        return ""
    if list(devices) == [CPU]:
        if cards and hides_gpus(visible):
            return f"training runs on the CPU: {_quote_visible(visible)} hides all GPUs"
        return f"training runs on the CPU: {why_none}" if why_none and not _is_plain(why_none) else ""
    _, strange = _list_visible_cards(cards, visible)
    if not strange:
        return ""
    return (
        f"{_quote_visible(visible)} names {strange}, which is not a GPU here: CUDA ignores it and all "
        "after it"
    )


def refuse_another_kind(
    devices: Sequence[Slot], earlier: Iterable[str], visible: str | None, why_none: str
) -> None:
    """Raise TrimtabError if trials that ran on GPUs (``earlier``: their devices' labels) would continue on
    the CPU although the user did not request that."""
    before = sorted({label for label in earlier if label.startswith("gpu")})
    if before and list(devices) == [CPU] and not hides_gpus(visible):
        raise TrimtabError.of(
            f"its trials ran on {', '.join(before)}, and no GPU is available now: {why_none or 'none'}",
            "resources.devices = 'auto'",
            "run `trimtab doctor` for the cause; start the study again when the GPU is back, or with "
            "CUDA_VISIBLE_DEVICES= (empty) on the CPU",
        )


def _make_slot(card: Device) -> Slot:
    return Slot(f"gpu{card.index}", "cuda:0", card.uuid or card.mig_path or str(card.index))


def _list_visible_cards(cards: Sequence[Device], visible: str | None) -> tuple[list[Device], str]:
    """Return the cards that CUDA_VISIBLE_DEVICES makes visible, and the first name in it that is not a card.
    CUDA reads the list up to the first invalid name, such as -1; the rest stays invisible."""
    if visible is None:
        return list(cards), ""
    visible_so_far: list[Device] = []
    for name in (part.strip() for part in visible.split(",")):
        card = _find_card(name, cards)
        if card is None:
            return visible_so_far, "" if not name or parse_card_number(name) < 0 or name in HIDES else repr(
                name
            )
        if card not in visible_so_far:
            visible_so_far.append(card)
    return visible_so_far, ""


def _find_card(name: str, cards: Sequence[Device]) -> Device | None:
    """Return the card with this number or this (unambiguous) start of its uuid, or the MIG instance with this
    uuid or old-style name. For a card in MIG mode CUDA uses the first instance."""
    if name.isdecimal():
        matches = [card for card in cards if card.index == int(name)]
    else:
        matches = [card for card in cards if name and (card.uuid.startswith(name) or card.mig_path == name)]
        matches = [card for card in matches if card.uuid == name] or matches
    if len(matches) != 1:
        return None
    parts = [card for card in cards if matches[0].mig and card.parent == matches[0].uuid]
    return parts[0] if parts else matches[0]


def _explain_unusable(card: Device) -> str:
    """Return why the card itself cannot train; empty if it can."""
    if card.fault:
        return card.fault
    return "it is in MIG mode: only its instances can compute" if card.mig else ""


def _has_no_gpu(cards: Sequence[Device], visible: str | None) -> bool:
    """Tell whether the machine has no GPU and CUDA_VISIBLE_DEVICES names none."""
    return not cards and visible is None


def _explain_absence(
    visible_cards: Sequence[Device], cards: Sequence[Device], visible: str | None, why_none: str
) -> str:
    if visible_cards:
        return ": " + "; ".join(f"gpu{card.index}: {_explain_unusable(card)}" for card in visible_cards)
    if cards and visible is not None:
        names = ", ".join(f"{card.index} ({card.uuid})" if card.uuid else str(card.index) for card in cards)
        return f": {_quote_visible(visible)} names none of the GPUs here: {names}"
    why = f": {why_none}" if why_none else ""
    return f"{why}, though {_quote_visible(visible)}" if visible else why


def _is_plain(why_none: str) -> bool:
    """Tell whether the machine simply has no NVIDIA driver or no card, which is not a fault."""
    return any(reason in why_none for reason in ("Not Found", "lists none", "No module named"))


def _quote_visible(visible: str | None) -> str:
    return f"CUDA_VISIBLE_DEVICES = {sanitize(visible or '', 120)!r}"


def find_fault(label: str, cards: Sequence[Device]) -> str:
    """Return the fault of the device with this label; empty if it works, and for the CPU."""
    return next((card.fault for card in cards if f"gpu{card.index}" == label), "")


@dataclass(frozen=True)
class Free:
    """A device with free slots, and the reason why it has them."""

    slot: Slot
    places: int  # free slots
    why: str


def sort_by_room(
    devices: Sequence[Slot], loads: Mapping[str, int], targets: Mapping[str, tuple[int, str]]
) -> list[Free]:
    """Return the devices with free slots, the most slots first. ``loads`` counts the trials by device label;
    ``targets`` gives the number of trials there should be, and the reason if it was measured."""
    free_devices = []
    for slot in devices:
        load, (places, why) = loads.get(slot.label, 0), targets[slot.label]
        if load >= places:
            continue
        occupancy = f"{load} of {places} slots taken on {slot.label}"
        because = (
            f"{occupancy}; auto: {why}" if why else occupancy if places > 1 else f"{slot.label} was free"
        )
        free_devices.append(Free(slot, places - load, because))
    return sorted(free_devices, key=lambda free: -free.places)  # a stable sort: ties keep their order
