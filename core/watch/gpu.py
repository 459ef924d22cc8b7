"""The one door to NVML: a reading of every GPU. A reading that is missing is None, and nothing raises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from core.contract.events import Device, Process
from core.contract.plain import plain

NAME_LIMIT = 80  # characters of a card's or process's name


class GpuReader:
    """Reads the cards through NVML. It starts NVML again when the driver went away and came back."""

    def __init__(self, nvml: Any = None) -> None:
        """``nvml``: a module with pynvml's interface; pynvml itself when None."""
        self._nvml = nvml
        self._ready = False
        self._seen: dict[int, Device] = {}  # name and uuid of each card, for the day it vanishes

    def read(self) -> tuple[tuple[Device, ...], str]:
        """The cards by index, or none and the reason in words."""
        try:
            self._start()
            count = self._nvml.nvmlDeviceGetCount()
        except Exception as error:  # ImportError, OSError from ctypes, NVMLError: each means no reading
            self.close()
            if self._seen:  # there were cards: say that they fell silent rather than that none exist
                return tuple(_fallen(one, f"NVML: {_words(error)}") for one in self._seen.values()), ""
            return (), f"no NVIDIA GPU: {_words(error)}"
        found = [self._device(index) for index in range(count)]
        gone = [_fallen(one, "no longer listed by the driver") for i, one in self._seen.items() if i >= count]
        return (*found, *gone), "" if found or gone else "no NVIDIA GPU: the driver lists none"

    def driver(self) -> str:
        """The driver's version; nothing where there is none."""
        try:
            self._start()
            return _text(self._nvml.nvmlSystemGetDriverVersion())
        except Exception:  # as for a reading
            self.close()
            return ""

    def partitions(self) -> dict[int, tuple[str, ...]]:
        """Cards in MIG mode, by index, and the names under which their instances can be used."""
        found: dict[int, tuple[str, ...]] = {}
        try:
            self._start()
            for index in range(self._nvml.nvmlDeviceGetCount()):
                handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
                mode = self._reading(self._nvml.nvmlDeviceGetMigMode, handle)
                if mode and mode[0]:
                    found[index] = tuple(self._instances(handle))
        except Exception:  # as for a reading: no card, no driver, or one too old for it
            return found
        return found

    def _instances(self, handle: Any) -> Iterator[str]:
        for place in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            one = self._reading(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
            if one is not None:  # a place without an instance
                yield _text(self._reading(self._nvml.nvmlDeviceGetUUID, one))

    def close(self) -> None:
        """Let NVML go; the next reading starts it again."""
        if self._ready:
            with contextlib.suppress(Exception):
                self._nvml.nvmlShutdown()
        self._ready = False

    def _start(self) -> None:
        if self._nvml is None:
            import pynvml

            self._nvml = pynvml
        if not self._ready:
            self._nvml.nvmlInit()
            self._ready = True

    def _device(self, index: int) -> Device:
        known = self._seen.get(index, Device(index, f"GPU {index}"))
        try:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            device = self._readings(index, handle, known)
        except Exception as error:
            return _fallen(known, _words(error))
        self._seen[index] = Device(index, device.name, device.uuid)
        return device

    def _readings(self, index: int, handle: Any, known: Device) -> Device:
        """Raises when the card is lost; a reading that it does not support is None."""
        nvml = self._nvml

        def one(call: Callable[..., Any], *more: Any) -> Any:
            return self._reading(call, handle, *more)

        memory = one(nvml.nvmlDeviceGetMemoryInfo)
        rates = one(nvml.nvmlDeviceGetUtilizationRates)
        return Device(
            index,
            _text(one(nvml.nvmlDeviceGetName)) or known.name,
            _text(one(nvml.nvmlDeviceGetUUID)) or known.uuid,
            used_bytes=memory.used if memory else None,
            total_bytes=memory.total if memory else None,
            utilisation=_scaled(rates.gpu if rates else None, 100.0),
            power_w=_scaled(one(nvml.nvmlDeviceGetPowerUsage), 1000.0),  # NVML says milliwatts
            power_limit_w=_scaled(one(nvml.nvmlDeviceGetEnforcedPowerLimit), 1000.0),
            temperature_c=_scaled(one(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU), 1.0),
            fan=_scaled(one(nvml.nvmlDeviceGetFanSpeed), 100.0),
            processes=self._processes(handle),
        )

    def _reading(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in (self._nvml.NVML_ERROR_GPU_IS_LOST, self._nvml.NVML_ERROR_RESET_REQUIRED):
                raise
            if error.value == self._nvml.NVML_ERROR_UNINITIALIZED:
                self._ready = False
                raise
            return None  # not supported, no permission, older driver

    def _processes(self, handle: Any) -> tuple[Process, ...]:
        """Compute and graphics processes, most memory first; a process may be in both lists."""
        used: dict[int, int | None] = {}
        for call in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for one in self._reading(call, handle) or ():
                used[one.pid] = max(used.get(one.pid) or 0, one.usedGpuMemory or 0) or None
        found = [Process(pid, *_owner(pid), held) for pid, held in used.items()]
        return tuple(sorted(found, key=lambda one: (-(one.used_bytes or 0), one.pid)))


def _owner(pid: int) -> tuple[str, str]:
    """Name and user of a process; empty where it is in another container or gone."""
    try:
        process = psutil.Process(pid)
        return plain(process.name(), NAME_LIMIT), plain(process.username(), NAME_LIMIT)
    except (psutil.Error, OSError, KeyError):
        return "", ""


def _fallen(known: Device, why: str) -> Device:
    return Device(known.index, known.name, known.uuid, fault=why)


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def _text(value: str | bytes | None) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return plain(text, NAME_LIMIT)


def _words(error: Exception) -> str:
    return plain(str(error) or type(error).__name__, 200)
