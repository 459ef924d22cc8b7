"""A machine with four cards, behind pynvml's own interface: its function names, errors and structs."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pynvml

GIB = 1 << 30
POOR = 1  # the card that supports not half of its readings


class MigInstance(int):
    """The handle of an instance: its card's number, and its place there."""

    place: int

    def __new__(cls, card: int, place: int) -> MigInstance:
        one = super().__new__(cls, card)
        one.place = place
        return one


class FakeNvml:
    """Stands for the module pynvml. ``missing`` refuses to start; ``lost`` cards raise GPU_IS_LOST."""

    NVMLError = pynvml.NVMLError
    NVML_ERROR_GPU_IS_LOST = pynvml.NVML_ERROR_GPU_IS_LOST
    NVML_ERROR_RESET_REQUIRED = pynvml.NVML_ERROR_RESET_REQUIRED
    NVML_ERROR_UNINITIALIZED = pynvml.NVML_ERROR_UNINITIALIZED
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVML_CLOCK_MEM = pynvml.NVML_CLOCK_MEM
    NVML_PCIE_UTIL_TX_BYTES = pynvml.NVML_PCIE_UTIL_TX_BYTES
    NVML_PCIE_UTIL_RX_BYTES = pynvml.NVML_PCIE_UTIL_RX_BYTES
    NVML_SINGLE_BIT_ECC = pynvml.NVML_SINGLE_BIT_ECC
    NVML_DOUBLE_BIT_ECC = pynvml.NVML_DOUBLE_BIT_ECC
    NVML_VOLATILE_ECC = pynvml.NVML_VOLATILE_ECC
    NVML_NVLINK_MAX_LINKS = pynvml.NVML_NVLINK_MAX_LINKS
    NVML_FEATURE_ENABLED = pynvml.NVML_FEATURE_ENABLED
    nvmlEventTypeXidCriticalError = pynvml.nvmlEventTypeXidCriticalError

    def __init__(self, cards: int = 4) -> None:
        self.cards = cards
        self.missing: int | None = None  # an NVML error code
        self.lost: set[int] = set()
        self.mig: dict[int, int] = {}  # card → instances; a handle is (card, instance)
        self.started = 0
        self.reasons: dict[int, int] = {}  # card → bits of its clock event reasons
        self.events: list[tuple[int, int]] = []  # (card, XID) that the driver has not told yet
        self.registered: set[int] = set()
        self.links, self.down = 12, 3  # NVLinks of each card, and the one that is down

    def nvmlInit(self) -> None:
        if self.missing is not None:
            raise pynvml.NVMLError(self.missing)
        self.started += 1

    def nvmlShutdown(self) -> None:
        if not self.started:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.started -= 1

    def nvmlDeviceGetCount(self) -> int:
        if self.missing is not None:
            raise pynvml.NVMLError(self.missing)
        if not self.started:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return self.cards

    def nvmlSystemGetDriverVersion(self) -> str:
        if self.missing is not None:
            raise pynvml.NVMLError(self.missing)
        return "580.95.05"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def _card(self, index: int, rich: bool = False) -> int:
        if index in self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        if rich and index == POOR:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"Test Card \x1b[31m{self._card(handle)}"

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        if isinstance(handle, MigInstance):
            return f"MIG-0000-{handle}-{handle.place}"
        return f"GPU-0000-{self._card(handle)}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> pynvml.c_nvmlMemory_t:
        self._card(handle)
        if isinstance(handle, MigInstance):
            return pynvml.c_nvmlMemory_t(total=10 * GIB, free=9 * GIB, used=GIB)
        return pynvml.c_nvmlMemory_t(total=80 * GIB, free=79 * GIB, used=GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> pynvml.c_nvmlUtilization_t:
        self._card(handle, rich=True)
        if isinstance(handle, MigInstance):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return pynvml.c_nvmlUtilization_t(gpu=42, memory=7)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 123_400

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 700_000

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        self._card(handle)
        return 55

    def nvmlDeviceGetFanSpeed(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 30

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        self._card(handle, rich=True)
        if handle:
            return []
        mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * GIB)
        return [SimpleNamespace(pid=2**22 + 1, usedGpuMemory=None), mine]

    def nvmlDeviceGetProcessUtilization(self, handle: int, since_us: int) -> list[SimpleNamespace]:
        self._card(handle, rich=True)
        if isinstance(handle, MigInstance):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        old, new = since_us - 1, since_us + 1_000_000
        shares = ((os.getpid(), new, 61), (os.getpid(), new - 1, 5), (1, old, 99))
        return [SimpleNamespace(pid=pid, timeStamp=at, smUtil=share) for pid, at, share in shares]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        self._card(handle, rich=True)
        return [] if handle else [SimpleNamespace(pid=os.getpid(), usedGpuMemory=GIB)]

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:
        self._card(handle, rich=True)
        return (9, 0)

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        self._card(handle, rich=True)
        return {pynvml.NVML_CLOCK_SM: 1410, pynvml.NVML_CLOCK_MEM: 1593}[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: int, kind: int) -> int:
        self._card(handle, rich=True)
        assert kind == pynvml.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> int:
        self._card(handle, rich=True)
        return self.reasons.get(handle, 0)

    def nvmlDeviceGetPcieThroughput(self, handle: int, counter: int) -> int:
        self._card(handle, rich=True)
        return {pynvml.NVML_PCIE_UTIL_TX_BYTES: 2048, pynvml.NVML_PCIE_UTIL_RX_BYTES: 4096}[counter]

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 3

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 4

    def nvmlDeviceGetMaxPcieLinkGeneration(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 5

    def nvmlDeviceGetMaxPcieLinkWidth(self, handle: int) -> int:
        self._card(handle, rich=True)
        return 16

    def nvmlDeviceGetTotalEccErrors(self, handle: int, kind: int, counter: int) -> int:
        self._card(handle, rich=True)
        assert counter == pynvml.NVML_VOLATILE_ECC
        return 2 if kind == pynvml.NVML_SINGLE_BIT_ECC else 0

    def nvmlDeviceGetNvLinkState(self, handle: int, link: int) -> int:
        self._card(handle, rich=True)
        if link >= self.links:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return pynvml.NVML_FEATURE_ENABLED if link != self.down else 0

    def nvmlEventSetCreate(self) -> str:
        return "events"

    def nvmlEventSetFree(self, events: str) -> None:
        assert events == "events" and self.started, "freed before NVML is shut down"
        self.registered.clear()

    def nvmlDeviceRegisterEvents(self, handle: int, kinds: int, events: str) -> None:
        self._card(handle, rich=True)
        assert (kinds, events) == (pynvml.nvmlEventTypeXidCriticalError, "events")
        self.registered.add(handle)

    def nvmlEventSetWait_v2(self, events: str, timeout_ms: int) -> SimpleNamespace:
        assert timeout_ms == 0, "a reading never waits"
        told = [event for event in self.events if event[0] in self.registered]
        if not told:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        self.events.remove(told[0])
        return SimpleNamespace(device=told[0][0], eventData=told[0][1])

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        if handle not in self.mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, place: int) -> MigInstance:
        if place >= self.mig[handle]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return MigInstance(handle, place)

    def nvmlDeviceGetGpuInstanceId(self, handle: MigInstance) -> int:
        return handle.place + 7

    def nvmlDeviceGetComputeInstanceId(self, handle: MigInstance) -> int:
        return 0
