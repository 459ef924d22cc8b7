"""NVML read through its own interface, with everything that may be missing."""

from __future__ import annotations

import os

import psutil
import pynvml
import pytest

from core.contract.events.event_types import Device
from core.watch.nvml_reader import GpuReader
from tests.watch.fake_nvml import GIB, POOR, FakeNvml


@pytest.fixture
def nvml():
    return FakeNvml()


def test_the_fake_speaks_pynvmls_interface():
    names = [name for name in dir(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert names and all(hasattr(pynvml, name) for name in names)


def test_a_whole_card(nvml):
    devices, why = GpuReader(nvml).read()
    assert why == "" and len(devices) == 4
    card = devices[0]
    assert (card.index, card.uuid, card.fault) == (0, "GPU-0000-0", "")
    assert (card.used_bytes, card.total_bytes) == (GIB, 80 * GIB)
    assert (card.utilisation, card.fan, card.temperature_c) == (0.42, 0.3, 55.0)
    assert (card.power_w, card.power_limit_w) == (123.4, 700.0)
    assert card.capability == (9, 0) and devices[POOR].capability is None


def test_a_name_with_an_escape_sequence_is_made_harmless(nvml):
    assert GpuReader(nvml).read()[0][0].name == "Test Card \N{REPLACEMENT CHARACTER}[31m0"


def test_the_driver_has_a_version_or_there_is_none(nvml):
    assert GpuReader(nvml).driver() == "580.95.05"
    nvml.missing = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    assert GpuReader(nvml).driver() == ""


def test_readings_that_a_card_does_not_support_are_none(nvml):
    card = GpuReader(nvml).read()[0][POOR]
    missing = (card.utilisation, card.power_w, card.power_limit_w, card.fan)
    assert missing == (None, None, None, None) and card.processes == ()
    assert card.used_bytes == GIB and card.temperature_c == 55.0 and card.fault == ""


def test_processes_of_both_lists_once_with_name_and_user(nvml):
    mine, stranger = GpuReader(nvml).read()[0][0].processes
    assert (mine.pid, mine.used_bytes) == (os.getpid(), 3 * GIB)
    assert mine.user == psutil.Process().username() and mine.name == psutil.Process().name()
    assert (stranger.pid, stranger.name, stranger.user, stranger.used_bytes) == (2**22 + 1, "", "", None)


def test_a_lost_card_keeps_its_name_and_says_so(nvml):
    reader = GpuReader(nvml)
    before = reader.read()[0]
    nvml.lost.add(2)
    devices = reader.read()[0]
    assert devices[2] == Device(2, before[2].name, "GPU-0000-2", fault="GPU is lost")
    assert devices[3].fault == ""
    nvml.lost.clear()
    assert reader.read()[0][2] == before[2]


def test_a_card_that_is_no_longer_listed_stays_with_its_fault(nvml):
    reader = GpuReader(nvml)
    reader.read()
    nvml.cards = 3
    devices, why = reader.read()
    assert [device.index for device in devices] == [0, 1, 2, 3] and why == ""
    assert devices[3].fault == "no longer listed by the driver" and devices[3].uuid == "GPU-0000-3"


def test_no_library_is_a_reason_and_the_driver_may_come_back(nvml):
    nvml.missing = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    reader = GpuReader(nvml)
    assert reader.read() == ((), "no NVIDIA GPU: NVML Shared Library Not Found")
    nvml.missing = None
    assert len(reader.read()[0]) == 4


def test_a_driver_that_goes_away_while_running(nvml):
    reader = GpuReader(nvml)
    reader.read()
    nvml.missing = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    devices, why = reader.read()
    assert why == "" and {device.fault for device in devices} == {"NVML: Driver Not Loaded"}
    nvml.missing = None
    assert {one.fault for one in reader.read()[0]} == {""}


def test_a_library_that_forgot_its_start_is_started_again(nvml):
    reader = GpuReader(nvml)
    reader.read()
    nvml.started = 0
    reader.read()  # this reading notices
    assert {one.fault for one in reader.read()[0]} == {""} and nvml.started == 1


def test_no_cards_and_a_broken_module():
    assert GpuReader(FakeNvml(0)).read() == ((), "no NVIDIA GPU: the driver lists none")
    devices, why = GpuReader(object()).read()
    assert devices == () and "no attribute" in why


def test_pynvml_itself_never_raises():
    reader = GpuReader()
    devices, why = reader.read()
    assert bool(devices) != bool(why)
    reader.close()


def test_the_instances_of_a_card_in_mig_mode_are_devices_of_their_own(nvml):
    nvml.mig = {2: 2}
    *cards, first, second = GpuReader(nvml).read()[0]
    assert [card.mig for card in cards] == [False, False, True, False]
    assert (first.index, first.uuid, first.mig_path) == (300, "MIG-0000-2-0", "MIG-GPU-0000-2/7/0")
    assert (second.index, second.parent, second.total_bytes) == (301, "GPU-0000-2", 10 * GIB)
    assert first.utilisation is None and first.fault == ""
