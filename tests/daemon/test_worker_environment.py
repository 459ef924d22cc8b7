"""What a worker on a GPU is told of its card and of torch's allocator, before it imports torch."""

import pytest

from core.contract.events.event_types import Device
from core.contract.wire import shell_environment
from core.contract.wire.shell_environment import ALLOCATOR, SEGMENTS
from core.daemon.placement.study_device_choice import CPU, Slot, choose_slots
from core.daemon.workers.worker_pool import WorkerPool

CARD = Slot("gpu0", "cuda:0", "GPU-1")


@pytest.fixture
def environment(tmp_path):
    """That of a worker on ``slot``, of a study with the environment ``own``."""
    pool = WorkerPool(tmp_path / "socket", lambda worker, why: None)
    return lambda slot, **own: pool._make_environment(slot, own)


def test_the_allocator_of_a_gpu_uses_segments_that_grow(environment):
    found = environment(CARD)
    assert found["PYTORCH_ALLOC_CONF"] == found["PYTORCH_CUDA_ALLOC_CONF"] == SEGMENTS


@pytest.mark.parametrize("name", ALLOCATOR)
def test_the_allocators_settings_of_the_user_stay(environment, name):
    found = environment(CARD, **{name: "max_split_size_mb:128"})
    assert {key: found[key] for key in ALLOCATOR if key in found} == {name: "max_split_size_mb:128"}
    assert shell_environment.read_own({name: "max_split_size_mb:128"}), "the study's shell hands it over"


def test_a_worker_on_the_cpu_is_told_nothing_of_cards(environment):
    found = environment(CPU)
    assert found["CUDA_VISIBLE_DEVICES"] == "" and not {*ALLOCATOR, "CUDA_DEVICE_ORDER"} & found.keys()


def test_a_worker_sees_its_card_by_uuid_also_where_cuda_counts_otherwise(environment):
    cards = [Device(0, "T4", uuid="GPU-slow"), Device(1, "H100", uuid="GPU-fast")]
    (slot,) = choose_slots([1], cards, None)
    found = environment(slot, CUDA_DEVICE_ORDER="FASTEST_FIRST")
    assert found["CUDA_VISIBLE_DEVICES"] == "GPU-fast"


def test_a_card_without_uuid_is_named_by_the_number_that_nvml_gives_it(environment):
    cards = [Device(0, "T4"), Device(1, "H100")]
    (slot,) = choose_slots([1], cards, None)
    found = environment(slot, CUDA_DEVICE_ORDER="FASTEST_FIRST")
    assert (found["CUDA_VISIBLE_DEVICES"], found["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")


def test_an_instance_is_named_by_its_uuid_or_its_older_name_never_by_our_number():
    card = Device(0, "A100", uuid="GPU-1", mig=True)
    part = Device(100, "A100 MIG", uuid="MIG-1", parent="GPU-1", mig_path="MIG-GPU-1/7/0")
    older = Device(100, "A100 MIG", parent="GPU-1", mig_path="MIG-GPU-1/7/0")
    assert [slot.visible for slot in choose_slots("auto", [card, part], None)] == ["MIG-1"]
    assert [slot.visible for slot in choose_slots("auto", [card, older], None)] == ["MIG-GPU-1/7/0"]
    assert [slot.visible for slot in choose_slots([100], [card, older], None)] == ["MIG-GPU-1/7/0"]
