"""What a device reading means in words: why its clock is low, what its link is, what its errors are. Pure."""

from __future__ import annotations

from core.contract.events.machine_reading import Device

# NVML's clock event reasons, by name: what holds the clock down, for a person.
CLOCK_REASONS: dict[str, str] = {
    "idle": "idle: nothing runs on it",
    "clocks-set": "clocks set by an administrator",
    "power-cap": "power limit reached",
    "hw-slowdown": "slowed by the hardware (heat, power or a fast trigger)",
    "sync-boost": "kept in step with other cards (sync boost)",
    "sw-thermal": "too hot: the driver lowers its clock",
    "hw-thermal": "too hot: the hardware halves its clock",
    "power-brake": "power brake: the supply asks for less",
    "display-clock": "clocks set for a display",
    "board-limit": "limit of the board reached",
    "reliability": "voltage limit of the chip reached",
}
NOT_SLOW = frozenset({"idle", "clocks-set", "display-clock", "sync-boost"})  # nothing is wrong with the card
HOT = frozenset({"sw-thermal", "hw-thermal"})
POWER = frozenset({"power-cap", "power-brake", "board-limit", "reliability"})

# The driver's error numbers (NVIDIA: "XID Errors"); others are named by their number alone.
XIDS: dict[int, str] = {
    13: "a kernel made an illegal access (often the program's fault)",
    31: "a kernel read or wrote memory that is not its own",
    43: "a program's context was stopped",
    45: "work was cleared after another error",
    48: "an uncorrectable memory error",
    61: "a fault of the card's controller",
    62: "a fault of the card's controller",
    63: "a memory row is to be replaced: reset the card when it is free",
    64: "a memory row could not be replaced",
    74: "an NVLink error",
    79: "the card has fallen off the bus",
    92: "many corrected memory errors",
    94: "a contained memory error: only the program that met it ends",
    95: "an uncontained memory error: reset the card",
    119: "the card's system processor does not answer",
}


def explain_no_gpu(why: str) -> str:
    """Return why there is no GPU, without the driver library's jargon where simply none is installed."""
    return "no NVIDIA driver: the CPU trains" if "Library Not Found" in why else why


def describe_clock(device: Device) -> str:
    """Return why the clock is as it is, such as "power limit reached"; empty where nothing holds it down, and
    where the driver does not say."""
    return ", ".join(CLOCK_REASONS.get(reason, reason) for reason in device.slowed_by or ())


def describe_link(device: Device) -> str:
    """Return text such as "PCIe 3.0 x4 of 4.0 x16"; empty where it is not known."""
    if device.pcie_link is None:
        return ""
    now, limit = _format_link(device.pcie_link), device.pcie_link_limit
    return f"PCIe {now}" if limit in (None, device.pcie_link) else f"PCIe {now} of {_format_link(limit)}"


def describe_nvlinks(device: Device) -> str:
    """Return the NVLinks of a card, such as "NVLink x18"; empty without any."""
    if not device.nvlinks or not device.nvlinks[1]:
        return ""
    up, total = device.nvlinks
    return f"NVLink x{total}" if up == total else f"NVLink {up} of {total} up"


def describe_faults(device: Device) -> tuple[str, ...]:
    """Return what is broken about the card, one sentence each: uncorrected memory errors, and XIDs."""
    faults = []
    if device.ecc_uncorrected:
        faults.append(f"{device.ecc_uncorrected} uncorrected memory errors since the driver was loaded")
    for xid in dict.fromkeys(device.xids or ()):
        times = (device.xids or ()).count(xid)
        words = f": {XIDS[xid]}" if xid in XIDS else ""
        faults.append(f"XID {xid}{words}" + (f" ({times} times)" if times > 1 else ""))
    return tuple(faults)


def _format_link(link: tuple[int, int] | None) -> str:
    return f"{link[0]}.0 x{link[1]}" if link else ""
