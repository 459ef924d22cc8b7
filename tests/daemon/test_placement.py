"""Which device a trial goes to, and why."""

import pytest

from core.contract.events.event_types import Device
from core.daemon.placement.study_device_choice import (
    CPU,
    Slot,
    choose_slots,
    note,
    refuse_another_kind,
    sort_by_room,
)
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
        ("auto", "-1", [CPU]),
        ("auto", "NoDevFiles", [CPU]),  # Slurm, for a job without a GPU
        ("auto", "0,-1,1", [GPU0]),  # CUDA stops at -1
        ("auto", "1, 0", [GPU1, GPU0]),
        ("auto", "0,7,1", [GPU0]),  # and at a card that is not there
        ("auto", "0,0", [GPU0]),
        ("cpu", None, [CPU]),
        ([1], None, [GPU1]),
    ],
)
def test_the_devices_of_a_study(wanted, visible, found):
    assert choose_slots(wanted, CARDS, visible) == found


@pytest.mark.parametrize(
    ("wanted", "cards", "told"),
    [
        ([2], CARDS, "GPU 2 is not available"),  # it gives no reading
        ("all", [], "there is no usable GPU"),
    ],
)
def test_a_card_that_is_not_there_is_refused(wanted, cards, told):
    with pytest.raises(TrimtabError, match=told):
        choose_slots(wanted, cards, None)


MIG = [
    Device(0, "A100", uuid="GPU-1111-2222", mig=True),
    Device(1, "A100", uuid="GPU-3333-4444"),
    Device(100, "1g.5gb", uuid="MIG-5c0ffee0", parent="GPU-1111-2222", mig_path="MIG-GPU-1111-2222/7/0"),
    Device(101, "1g.5gb", uuid="MIG-5c0ffee1", parent="GPU-1111-2222", mig_path="MIG-GPU-1111-2222/8/0"),
]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("MIG-5c0ffee1", ["MIG-5c0ffee1"]),
        ("MIG-GPU-1111-2222/8/0", ["MIG-5c0ffee1"]),  # as drivers before 470 name it
        ("0", ["MIG-5c0ffee0"]),  # of a card in MIG mode CUDA takes the first instance
        ("GPU-3333", ["GPU-3333-4444"]),
        (None, ["GPU-3333-4444", "MIG-5c0ffee0", "MIG-5c0ffee1"]),  # never the whole card in MIG mode
    ],
)
def test_a_mig_instance_is_a_device(visible, found):
    assert [slot.visible for slot in choose_slots("auto", MIG, visible)] == found


@pytest.mark.parametrize(
    ("cards", "visible", "told"),
    [
        (CARDS, "MIG-5c0ffee0-1111-2222-3333-444444444444", "names none of the GPUs here: 0 .GPU-aa"),
        (CARDS, "MIG-GPU-1111-2222/1/0", "names none of the GPUs here"),
        (CARDS, "7", "names none"),
        (CARDS, "GPU-", "names none"),  # which of them?
        (CARDS, "2", "gpu2: lost"),
        (CARDS[2:], None, "gpu2: lost"),
        (MIG[:1], None, "MIG mode"),
        ([], "0", "driver mismatch, though CUDA_VISIBLE_DEVICES = '0'"),
    ],
)
def test_auto_never_falls_to_the_cpu_in_silence(cards, visible, told):
    with pytest.raises(TrimtabError, match=told):
        choose_slots("auto", cards, visible, "driver mismatch")


def test_a_study_is_told_what_it_may_not_expect():
    assert (
        note("auto", [CPU], CARDS, "") == "training runs on the CPU: CUDA_VISIBLE_DEVICES = '' hides all GPUs"
    )
    assert note("auto", [GPU0], CARDS, "0,7") == (
        "CUDA_VISIBLE_DEVICES = '0,7' names '7', which is not a GPU here: CUDA ignores it and all after it"
    )
    broken = "no NVIDIA GPU: Driver/library version mismatch"
    assert note("auto", [CPU], [], None, broken) == f"training runs on the CPU: {broken}"
    usual = "no NVIDIA GPU: NVML Shared Library Not Found"
    assert note("auto", [CPU], [], None, usual) == "" == note("cpu", [CPU], CARDS, "")
    assert note("auto", [GPU0], CARDS, "0,-1,1") == "" == note("auto", [GPU0, GPU1], CARDS, None)


def test_trials_of_a_gpu_do_not_go_on_on_the_cpu_unless_somebody_says_so():
    with pytest.raises(TrimtabError, match="ran on gpu0, and no GPU is available now: driver mismatch"):
        refuse_another_kind([CPU], ["gpu0", ""], None, "driver mismatch")
    refuse_another_kind([CPU], ["gpu0"], "", "")
    refuse_another_kind([CPU], ["cpu", ""], None, "")
    refuse_another_kind([GPU1], ["gpu0"], None, "")


def test_trials_spread_before_they_share():
    loads: dict[str, int] = {}
    chosen = []
    two = {"gpu0": (2, ""), "gpu1": (2, "")}
    for _ in range(4):
        label = sort_by_room([GPU0, GPU1], loads, two)[0].slot.label
        loads[label] = loads.get(label, 0) + 1
        chosen.append(label)
    assert chosen == ["gpu0", "gpu1", "gpu0", "gpu1"]
    assert sort_by_room([GPU0, GPU1], loads, two) == []


def test_the_device_with_the_most_free_places_comes_first():
    found = sort_by_room([GPU0, GPU1], {"gpu0": 1, "gpu1": 3}, {"gpu0": (2, ""), "gpu1": (6, "")})
    assert [(one.slot, one.places) for one in found] == [(GPU1, 3), (GPU0, 1)]


def test_the_reason_is_given():
    def why(load: int, places: int, measured: str = "") -> str:
        return sort_by_room([GPU0], {"gpu0": load}, {"gpu0": (places, measured)})[0].why

    assert why(0, 1) == "gpu0 was free"
    assert why(1, 3) == "1 of 3 slots taken on gpu0"
    told = "6 at once gave 1.8 × the tokens/s of 3"
    assert why(4, 6, told) == f"4 of 6 slots taken on gpu0; auto: {told}"
