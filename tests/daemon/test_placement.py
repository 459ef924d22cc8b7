"""Which device a trial goes to, and why."""

import pytest

from core.contract.events import Device
from core.daemon.placement import CPU, Slot, choose, slots
from core.errors import TrimtabError

CARDS = [Device(0, "A", uuid="GPU-aa"), Device(1, "B", uuid="GPU-bb"), Device(2, "C", fault="lost")]
GPU0, GPU1 = Slot("gpu0", "cuda:0", "GPU-aa"), Slot("gpu1", "cuda:0", "GPU-bb")


@pytest.mark.parametrize(
    ("wanted", "visible", "found"),
    [
        ("auto", None, [GPU0, GPU1]),
        ("auto", "1", [GPU1]),
        ("auto", "GPU-a", [GPU0]),
        ("auto", "", [CPU]),
        ("cpu", None, [CPU]),
        ([1], None, [GPU1]),
    ],
)
def test_the_devices_of_a_study(wanted, visible, found):
    assert slots(wanted, CARDS, visible) == found


@pytest.mark.parametrize(
    ("wanted", "cards", "told"),
    [
        ([2], CARDS, "there is no GPU 2"),  # it gives no reading
        ("all", [], "there is no GPU to use"),
    ],
)
def test_a_card_that_is_not_there_is_refused(wanted, cards, told):
    with pytest.raises(TrimtabError, match=told):
        slots(wanted, cards, None)


def test_trials_spread_before_they_share():
    loads: dict[str, int] = {}
    chosen = []
    for _ in range(4):
        slot, _ = choose([GPU0, GPU1], loads, 2)
        loads[slot.label] = loads.get(slot.label, 0) + 1
        chosen.append(slot.label)
    assert chosen == ["gpu0", "gpu1", "gpu0", "gpu1"]
    assert choose([GPU0, GPU1], loads, 2) is None


def test_the_reason_is_given():
    assert choose([GPU0], {}, 1) == (GPU0, "gpu0 was free")
    assert choose([GPU0], {"gpu0": 1}, 3) == (GPU0, "1 of 3 places taken on gpu0")
