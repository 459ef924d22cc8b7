"""Reads every GPU through NVML; no other module uses NVML. A missing value is None, and nothing raises."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil
from msgspec.structs import replace

from core.contract.events.event_types import Device, Process
from core.contract.text.sanitize import sanitize
from core.watch.nvml_details import XidLog, read_details

PROCESS_WINDOW_S = 3.0  # in which a process's newest utilisation sample counts
NAME_LIMIT = 80  # characters of a card's or process's name
INSTANCES = 100  # the first MIG instance of card 0 has this number, that of card 1 twice as much


class _NoValue(Exception):
    """NVML has no value of this kind for the card; the text says why."""


class GpuReader:
    """Reads the cards through NVML. It restarts NVML after the driver was unloaded and loaded again."""

    def __init__(self, nvml: Any = None) -> None:
        """``nvml``: a module with pynvml's interface; pynvml itself when None."""
        self._nvml = nvml
        self._ready = False
        self._xids: XidLog | None = None
        self._seen: dict[int, Device] = {}  # name and uuid of each card, in case it disappears

    def read(self) -> tuple[tuple[Device, ...], str]:
        """The cards by index, or none and the reason as text."""
        try:
            self._start()
            count = self._nvml.nvmlDeviceGetCount()
        except Exception as error:  # ImportError, OSError from ctypes, NVMLError: each means no reading
            self.close()
            if self._seen:  # there were cards: report a fault rather than that none exist
                return tuple(
                    _make_faulty_device(card, f"NVML: {_describe_error(error)}")
                    for card in self._seen.values()
                ), ""
            return (), f"no NVIDIA GPU: {_describe_error(error)}"
        if self._xids is not None:
            self._xids.drain()
        devices = [self._read_device(index) for index in range(count)]
        devices += [part for card in devices if card.mig for part in self._list_instances(card)]
        lost_cards = [
            _make_faulty_device(card, "no longer listed by the driver")
            for i, card in self._seen.items()
            if i >= count
        ]
        return (
            *devices,
            *lost_cards,
        ), "" if devices or lost_cards else "no NVIDIA GPU: the driver lists none"

    def read_driver_version(self) -> str:
        """The driver's version; empty without a driver."""
        try:
            self._start()
            return _decode_name(self._nvml.nvmlSystemGetDriverVersion())
        except Exception:  # the same kinds as in read()
            self.close()
            return ""

    def close(self) -> None:
        """Shut NVML down; the next reading starts it again."""
        if self._xids is not None:
            self._xids.close()
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
            self._xids = self._xids or XidLog(self._nvml)

    def _read_device(self, index: int) -> Device:
        last_seen = self._seen.get(index, Device(index, f"GPU {index}"))
        try:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            device = self._read_card(index, handle, last_seen)
        except Exception as error:
            return _make_faulty_device(last_seen, _describe_error(error))
        device = replace(self._add_xids(device, handle), mig=self._is_in_mig_mode(handle))
        self._seen[index] = Device(index, device.name, device.uuid, mig=device.mig)
        return device

    def _add_xids(self, device: Device, handle: Any) -> Device:
        if self._xids is None:
            return device
        xids, why = self._xids.read(device.index, device.uuid, handle)
        unread = {**device.unread, "xids": sanitize(why, 200)} if why else device.unread
        return replace(device, xids=xids, unread=unread)

    def _is_in_mig_mode(self, handle: Any) -> bool:
        mode = self._call_or_none(getattr(self._nvml, "nvmlDeviceGetMigMode", lambda card: None), handle)
        return bool(mode) and mode[0] == 1  # the current mode; the second is the one after a reset

    def _list_instances(self, card: Device) -> list[Device]:
        """The MIG instances of a card, each as a separate device."""
        instances, nvml = [], self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(card.index)
            for place in range(self._call_or_none(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
                part = self._call_or_none(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
                if part is not None:
                    instances.append(self._read_instance(card, (card.index + 1) * INSTANCES + place, part))
        except Exception:  # the card was lost meanwhile: the next reading reports it
            return instances
        return instances

    def _read_instance(self, card: Device, index: int, handle: Any) -> Device:
        device = self._read_card(index, handle, Device(index, f"{card.name} MIG"))
        ids = [
            self._call_or_none(call, handle)
            for call in (self._nvml.nvmlDeviceGetGpuInstanceId, self._nvml.nvmlDeviceGetComputeInstanceId)
        ]
        path = "" if None in ids else f"MIG-{card.uuid}/{ids[0]}/{ids[1]}"
        return replace(device, parent=card.uuid, mig_path=path)

    def _read_card(self, index: int, handle: Any, device: Device) -> Device:
        """Read all values of a card. Raises if the card is lost; a value that is not there is None."""
        nvml, unread = self._nvml, dict[str, str]()

        def read(field: str, call: str, *more: Any) -> Any:
            try:
                return self._call_nvml(getattr(nvml, call), handle, *more)
            except (AttributeError, _NoValue) as error:  # of a library older than the function, or of NVML
                if field:  # else the caller asks whether there is one
                    unread[field] = _describe_error(error)
                return None

        memory = read("used_bytes", "nvmlDeviceGetMemoryInfo")
        rates = read("utilisation", "nvmlDeviceGetUtilizationRates")
        return Device(
            index,
            _decode_name(read("name", "nvmlDeviceGetName")) or device.name,
            _decode_name(read("uuid", "nvmlDeviceGetUUID")) or device.uuid,
            used_bytes=memory.used if memory else None,
            total_bytes=memory.total if memory else None,
            utilisation=_scale(rates.gpu if rates else None, 100.0),
            memory_utilisation=_scale(rates.memory if rates else None, 100.0),
            power_w=_scale(read("power_w", "nvmlDeviceGetPowerUsage"), 1000.0),  # NVML reports milliwatts
            power_limit_w=_scale(read("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit"), 1000.0),
            temperature_c=_scale(
                read("temperature_c", "nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU), 1.0
            ),
            fan=_scale(read("fan", "nvmlDeviceGetFanSpeed"), 100.0),
            processes=self._list_processes(handle),
            capability=_pair(read("capability", "nvmlDeviceGetCudaComputeCapability")),
            **read_details(nvml, read),
            unread=unread,
        )

    def _call_nvml(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call NVML. Raises _NoValue where it gives nothing, NVMLError for a lost card or driver."""
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in (self._nvml.NVML_ERROR_GPU_IS_LOST, self._nvml.NVML_ERROR_RESET_REQUIRED):
                raise
            if error.value == self._nvml.NVML_ERROR_UNINITIALIZED:
                self._ready = False
                raise
            raise _NoValue(str(error)) from error  # not supported, no permission, older driver

    def _call_or_none(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self._call_nvml(call, *arguments)
        except _NoValue:
            return None

    def _list_processes(self, handle: Any) -> tuple[Process, ...]:
        """Compute and graphics processes, the most memory first; a process may be in both lists."""
        used: dict[int, int | None] = {}
        for call in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for process in self._call_or_none(call, handle) or ():
                used[process.pid] = max(used.get(process.pid) or 0, process.usedGpuMemory or 0) or None
        shares = self._process_utilisations(handle) if used else None
        processes = [
            Process(pid, *_find_owner(pid), used_bytes, None if shares is None else shares.get(pid, 0.0))
            for pid, used_bytes in used.items()
        ]
        return tuple(sorted(processes, key=lambda process: (-(process.used_bytes or 0), process.pid)))

    def _process_utilisations(self, handle: Any) -> dict[int, float] | None:
        """The share of the card's time that each process computed in the last seconds, 0 to 1; a process that
        is missing did not. None where the driver does not say, such as for MIG instances."""
        since_us = int((time.time() - PROCESS_WINDOW_S) * 1e6)
        try:
            samples = self._call_nvml(self._nvml.nvmlDeviceGetProcessUtilization, handle, since_us)
        except AttributeError:  # of a library older than the function
            return None
        except _NoValue as error:
            is_idle = getattr(error.__cause__, "value", None) == self._nvml.NVML_ERROR_NOT_FOUND
            return {} if is_idle else None
        newest = sorted(samples, key=lambda sample: sample.timeStamp)
        return {sample.pid: min(1.0, sample.smUtil / 100) for sample in newest if sample.timeStamp > since_us}


def _find_owner(pid: int) -> tuple[str, str]:
    """Name and user of a process; empty if it is in another container or has exited."""
    try:
        process = psutil.Process(pid)
        return sanitize(process.name(), NAME_LIMIT), sanitize(process.username(), NAME_LIMIT)
    except (psutil.Error, OSError, KeyError):
        return "", ""


def _make_faulty_device(device: Device, why: str) -> Device:
    return Device(device.index, device.name, device.uuid, fault=why, mig=device.mig)


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else value / factor


def _pair(value: Sequence[int] | None) -> tuple[int, int] | None:
    return None if value is None else (value[0], value[1])


def _decode_name(value: str | bytes | None) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return sanitize(text, NAME_LIMIT)


def _describe_error(error: Exception) -> str:
    return sanitize(str(error) or type(error).__name__, 200)
