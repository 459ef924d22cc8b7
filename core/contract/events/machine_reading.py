"""Readings of the machine: its devices, their processes, the host, and the workers on it."""

from __future__ import annotations

import msgspec

from core.contract.events.event_base import Event


class Process(msgspec.Struct, frozen=True, array_like=True):
    """A process that holds device memory. ``used_bytes`` and ``utilisation`` are None where the driver does
    not say."""

    pid: int
    name: str
    user: str
    used_bytes: int | None
    utilisation: float | None = None  # of the device's multiprocessors in the last seconds, 0 to 1


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading of one GPU, or of one MIG instance of a GPU. A missing reading is None; ``unread`` says
    why, by the name of its field."""

    index: int
    name: str
    uuid: str = ""
    used_bytes: int | None = None
    total_bytes: int | None = None
    utilisation: float | None = None  # 0 to 1
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    fan: float | None = None  # 0 to 1
    processes: tuple[Process, ...] = ()
    fault: str = ""  # why this card gave no reading at all
    mig: bool = False  # a card in MIG mode: only its instances compute
    parent: str = ""  # of a MIG instance: the uuid of its card
    capability: tuple[int, int] | None = None  # CUDA's, such as (8, 0) for Ampere
    mig_path: str = ""  # of a MIG instance: its name before driver 470, MIG-GPU-<uuid>/<instance>/<instance>
    memory_utilisation: float | None = None  # share of the time in which memory was read or written, 0 to 1
    clock_mhz: int | None = None  # of the multiprocessors
    clock_limit_mhz: int | None = None  # the highest that the card can reach
    memory_clock_mhz: int | None = None
    slowed_by: tuple[str, ...] | None = (
        None  # names of core.contract.views.device_condition_text.CLOCK_REASONS
    )
    pcie_sent_bytes_s: int | None = None  # from the device to the host
    pcie_received_bytes_s: int | None = None
    pcie_link: tuple[int, int] | None = None  # generation and lanes now: an idle card goes down
    pcie_link_limit: tuple[int, int] | None = None  # the most that card and slot allow
    ecc_corrected: int | None = None  # memory errors since the driver was loaded
    ecc_uncorrected: int | None = None
    nvlinks: tuple[int, int] | None = None  # links that are up, and links that the card has
    xids: tuple[int, ...] | None = None  # the driver's error numbers since this engine began, newest last
    unread: dict[str, str] = {}


class Worker(msgspec.Struct, frozen=True, omit_defaults=True):
    """One worker process as the host sees it."""

    name: str
    pid: int
    device: str
    rss_bytes: int | None = None
    cpu: float | None = None  # cores in use
    study: str = ""


class Host(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading of the machine."""

    cpu: float | None = None  # 0 to 1, all cores
    cores: int = 0
    used_bytes: int | None = None
    total_bytes: int | None = None
    disk_free_bytes: int | None = None
    load1: float | None = None
    name: str = ""
    disk_total_bytes: int | None = None
    received_bytes_s: float | None = None  # over all network interfaces but the loopback
    sent_bytes_s: float | None = None


class MachineRead(Event, frozen=True, tag="machine-read"):
    """One reading of all devices and the host. ``why_none`` says why there are no GPUs. Live."""

    journaled = False
    urgent = False

    devices: tuple[Device, ...] = ()
    host: Host = Host()
    workers: tuple[Worker, ...] = ()
    why_none: str = ""
