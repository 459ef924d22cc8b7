"""Reads from NVML what explains a card's speed: clocks and what limits them, PCIe, memory errors, XIDs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

XIDS_KEPT = 16  # of one card
DRAINED = 64  # events read at once: a card in a storm of errors holds up no reading
# Bits of nvmlClocksEventReasons (nvml.h), under the names of core.contract.views.device_condition_text.
REASON_BITS: dict[int, str] = {
    0x001: "idle", 0x002: "clocks-set", 0x004: "power-cap", 0x008: "hw-slowdown", 0x010: "sync-boost",
    0x020: "sw-thermal", 0x040: "hw-thermal", 0x080: "power-brake", 0x100: "display-clock",
    0x200: "board-limit", 0x400: "reliability",
}  # fmt: skip

Read = Callable[
    ..., Any
]  # (field, name of the NVML function, its arguments after the handle): a value or None


def read_details(nvml: Any, read: Read) -> dict[str, Any]:
    """Return fields of a Device. Throughput of PCIe is measured over 20 ms by the driver, twice."""
    mask = _read_reasons_mask(nvml, read)
    return {
        "clock_mhz": read("clock_mhz", "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        "clock_limit_mhz": read("clock_limit_mhz", "nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": read("memory_clock_mhz", "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        "slowed_by": None if mask is None else name_reasons(mask),
        "pcie_sent_bytes_s": _read_bytes_s(read, "pcie_sent_bytes_s", nvml.NVML_PCIE_UTIL_TX_BYTES),
        "pcie_received_bytes_s": _read_bytes_s(read, "pcie_received_bytes_s", nvml.NVML_PCIE_UTIL_RX_BYTES),
        "pcie_link": _link(read, "pcie_link", "nvmlDeviceGetCurrPcieLink"),
        "pcie_link_limit": _link(read, "pcie_link_limit", "nvmlDeviceGetMaxPcieLink"),
        "nvlinks": _count_nvlinks(nvml, read),
        "ecc_corrected": _count_errors(nvml, read, "ecc_corrected", nvml.NVML_SINGLE_BIT_ECC),
        "ecc_uncorrected": _count_errors(nvml, read, "ecc_uncorrected", nvml.NVML_DOUBLE_BIT_ECC),
    }


def name_reasons(mask: int) -> tuple[str, ...]:
    """Return the reasons of a bit mask; a bit that a newer driver adds is named by its number."""
    names = [name for bit, name in REASON_BITS.items() if mask & bit]
    other_bits = mask & ~sum(REASON_BITS)
    return (*names, *([f"reason {other_bits:#x}"] if other_bits else []))


def _read_reasons_mask(nvml: Any, read: Read) -> int | None:
    newer = hasattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons")
    kind = "ClocksEventReasons" if newer else "ClocksThrottleReasons"
    value: int | None = read("slowed_by", f"nvmlDeviceGetCurrent{kind}")
    return value


def _read_bytes_s(read: Read, field: str, counter: int) -> int | None:
    value = read(field, "nvmlDeviceGetPcieThroughput", counter)
    return None if value is None else value * 1024  # NVML reports KB/s


def _link(read: Read, field: str, call: str) -> tuple[int, int] | None:
    generation, lanes = read(field, f"{call}Generation"), read(field, f"{call}Width")
    return None if generation is None or lanes is None else (generation, lanes)


def _count_nvlinks(nvml: Any, read: Read) -> tuple[int, int] | None:
    """Count the links: the driver refuses the number of a link that the card does not have."""
    first = read("nvlinks", "nvmlDeviceGetNvLinkState", 0)
    if first is None:
        return None
    states = [first]
    while len(states) < nvml.NVML_NVLINK_MAX_LINKS:
        state = read("", "nvmlDeviceGetNvLinkState", len(states))
        if state is None:
            break
        states.append(state)
    return sum(state == nvml.NVML_FEATURE_ENABLED for state in states), len(states)


def _count_errors(nvml: Any, read: Read, field: str, kind: int) -> int | None:
    value: int | None = read(field, "nvmlDeviceGetTotalEccErrors", kind, nvml.NVML_VOLATILE_ECC)
    return value


class XidLog:
    """Collects the XIDs of the cards as the driver tells them: NVML keeps none from before it was asked."""

    def __init__(self, nvml: Any) -> None:
        self._nvml, self._events = nvml, None
        self._registered: dict[int, str] = {}  # card: why it tells none, else empty
        self._seen: dict[str, tuple[int, ...]] = {}  # by uuid

    def read(self, index: int, uuid: str, handle: Any) -> tuple[tuple[int, ...] | None, str]:
        """Return the card's XIDs so far, newest last; or None and the reason."""
        if index not in self._registered:
            self._registered[index] = self._register(handle)
        why = self._registered[index]
        return (None, why) if why else (self._seen.get(uuid, ()), "")

    def drain(self) -> None:
        """Take what the driver has told since the last call. Never waits and never raises."""
        if self._events is None:
            return
        with contextlib.suppress(Exception):  # NVML_ERROR_TIMEOUT: nothing more was told
            for _ in range(DRAINED):
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                self._note(event.device, int(event.eventData))

    def close(self) -> None:
        """Free the event set, before NVML is shut down; the XIDs seen so far are kept."""
        if self._events is not None:
            with contextlib.suppress(Exception):  # a driver that is gone
                self._nvml.nvmlEventSetFree(self._events)
        self._events, self._registered = None, {}

    def _register(self, handle: Any) -> str:
        try:
            self._events = self._events or self._nvml.nvmlEventSetCreate()
            self._nvml.nvmlDeviceRegisterEvents(
                handle, self._nvml.nvmlEventTypeXidCriticalError, self._events
            )
        except Exception as error:  # NVMLError, or a library without events
            return str(error) or type(error).__name__
        return ""

    def _note(self, handle: Any, xid: int) -> None:
        uuid = self._nvml.nvmlDeviceGetUUID(handle)
        uuid = uuid.decode(errors="replace") if isinstance(uuid, bytes) else uuid
        self._seen[uuid] = (*self._seen.get(uuid, ()), xid)[-XIDS_KEPT:]
