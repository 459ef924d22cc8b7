"""Which device a trial goes to, and why."""

import pytest

from core.contract.events import Device
from core.daemon.placement import CPU, Slot, by_room, slots
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
    two = {"gpu0": (2, ""), "gpu1": (2, "")}
    for _ in range(4):
        label = by_room([GPU0, GPU1], loads, two)[0].slot.label
        loads[label] = loads.get(label, 0) + 1
        chosen.append(label)
    assert chosen == ["gpu0", "gpu1", "gpu0", "gpu1"]
    assert by_room([GPU0, GPU1], loads, two) == []


def test_the_device_with_the_most_free_places_comes_first():
    found = by_room([GPU0, GPU1], {"gpu0": 1, "gpu1": 3}, {"gpu0": (2, ""), "gpu1": (6, "")})
    assert [(one.slot, one.places) for one in found] == [(GPU1, 3), (GPU0, 1)]


def test_the_reason_is_given():
    def why(load: int, places: int, measured: str = "") -> str:
        return by_room([GPU0], {"gpu0": load}, {"gpu0": (places, measured)})[0].why

    assert why(0, 1) == "gpu0 was free"
    assert why(1, 3) == "1 of 3 places taken on gpu0"
    told = "6 at once gave 1.8 × the tokens/s of 3"
    assert why(4, 6, told) == f"4 of 6 places taken on gpu0; auto: {told}"
