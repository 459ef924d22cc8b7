"""NVML read through its own interface, with everything that may be missing."""

from __future__ import annotations

import os

import psutil
import pynvml
import pytest

from core.contract.events.event_types import Device
from core.contract.views.device_condition_text import (
    CLOCK_REASONS,
    describe_clock,
    describe_faults,
    describe_link,
    describe_nvlinks,
)
from core.watch.nvml_details import REASON_BITS
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
    assert GpuReader(nvml).read_driver_version() == "580.95.05"
    nvml.missing = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    assert GpuReader(nvml).read_driver_version() == ""


def test_readings_that_a_card_does_not_support_are_none(nvml):
    card = GpuReader(nvml).read()[0][POOR]
    missing = (card.utilisation, card.power_w, card.power_limit_w, card.fan)
    assert missing == (None, None, None, None) and card.processes == ()
    assert card.used_bytes == GIB and card.temperature_c == 55.0 and card.fault == ""


def test_what_a_card_does_not_tell_has_a_reason(nvml):
    card = GpuReader(nvml).read()[0][POOR]
    assert (card.clock_mhz, card.slowed_by, card.pcie_link, card.ecc_uncorrected, card.xids) == (None,) * 5
    assert card.unread["clock_mhz"] == card.unread["xids"] == card.unread["fan"] == "Not Supported"
    assert GpuReader(nvml).read()[0][0].unread == {}


def test_clocks_link_and_memory_errors_of_a_card(nvml):
    card = GpuReader(nvml).read()[0][0]
    assert (card.clock_mhz, card.clock_limit_mhz, card.memory_clock_mhz) == (1410, 1980, 1593)
    assert (card.pcie_sent_bytes_s, card.pcie_received_bytes_s) == (2 << 20, 4 << 20)
    assert (card.pcie_link, card.pcie_link_limit) == ((3, 4), (5, 16)) and card.memory_utilisation == 0.07
    assert (card.ecc_corrected, card.ecc_uncorrected, card.xids) == (2, 0, ())
    assert describe_link(card) == "PCIe 3.0 x4 of 5.0 x16" and describe_faults(card) == ()


def test_nvlinks_are_counted_and_one_that_is_down_is_told(nvml):
    card = GpuReader(nvml).read()[0][0]
    assert card.nvlinks == (11, 12) and describe_nvlinks(card) == "NVLink 11 of 12 up" and card.unread == {}
    nvml.down = -1
    assert describe_nvlinks(GpuReader(nvml).read()[0][0]) == "NVLink x12"
    poor = GpuReader(nvml).read()[0][POOR]
    assert (poor.nvlinks, poor.unread["nvlinks"], describe_nvlinks(poor)) == (None, "Not Supported", "")


def test_a_clock_that_is_held_down_says_by_what(nvml):
    nvml.reasons = {0: pynvml.nvmlClocksEventReasonSwPowerCap, 2: 0x40 | 0x8000}
    cards = GpuReader(nvml).read()[0]
    assert cards[0].slowed_by == ("power-cap",) and describe_clock(cards[0]) == "power limit reached"
    assert describe_clock(cards[2]) == "too hot: the hardware halves its clock, reason 0x8000"
    assert cards[3].slowed_by == () and describe_clock(cards[3]) == ""


def test_each_bit_of_nvml_has_words():
    bits = {
        getattr(pynvml, name)
        for name in dir(pynvml)
        if name.startswith(("nvmlClocksEventReason", "nvmlClocksT"))
    }
    assert {bit for bit in bits if isinstance(bit, int) and bit.bit_count() == 1} == set(REASON_BITS)
    assert set(REASON_BITS.values()) == set(CLOCK_REASONS)


def test_an_xid_is_kept_with_its_card_and_named(nvml):
    reader = GpuReader(nvml)
    reader.read()
    nvml.events = [(0, 79), (2, 999), (0, 79)]
    cards = reader.read()[0]
    assert (cards[0].xids, cards[2].xids, cards[3].xids) == ((79, 79), (999,), ())
    assert describe_faults(cards[0]) == ("XID 79: the card has fallen off the bus (2 times)",)
    assert describe_faults(reader.read()[0][2]) == ("XID 999",)
    reader.close()
    assert not nvml.registered
    nvml.events = [(2, 31)]
    reader.read()
    assert reader.read()[0][2].xids == (999, 31), "what was seen before a new start of NVML stays"


def test_a_library_without_a_function_still_reads_the_rest(nvml, monkeypatch):
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetPcieThroughput")
    card = GpuReader(nvml).read()[0][0]
    assert card.pcie_sent_bytes_s is None and "no attribute" in card.unread["pcie_sent_bytes_s"]
    assert card.utilisation == 0.42 and card.fault == ""


def test_processes_of_both_lists_once_with_name_user_and_their_share_of_the_card(nvml, monkeypatch):
    mine, stranger = GpuReader(nvml).read()[0][0].processes
    assert (mine.utilisation, stranger.utilisation) == (0.61, 0.0), "the newest sample of the last seconds"
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetProcessUtilization")
    assert GpuReader(nvml).read()[0][0].processes[0].utilisation is None
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
