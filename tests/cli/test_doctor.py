"""`trimtab doctor` names the devices that a study would really use."""

from __future__ import annotations

import pytest

from core.cli.plan.run_doctor import find_used_devices
from core.contract.events.event_types import Device

TWO = [Device(0, "A100", uuid="GPU-aa"), Device(1, "A100", uuid="GPU-bb")]
MIXED = [Device(0, "T4", uuid="GPU-aa"), Device(1, "A100", uuid="GPU-bb")]
MIG = [
    Device(0, "A100", uuid="GPU-aa", mig=True),
    Device(100, "A100 1g.5gb", uuid="MIG-1", parent="GPU-aa"),
    Device(101, "A100 1g.5gb", uuid="MIG-2", parent="GPU-aa"),
]


@pytest.mark.parametrize(
    ("cards", "visible", "order", "level", "words"),
    [
        (TWO, None, None, "ok", "trains on gpu0, gpu1"),
        (TWO, "1", None, "ok", "trains on gpu1 because of CUDA_VISIBLE_DEVICES = '1'"),
        (TWO, "0,-1,1", None, "ok", "trains on gpu0 because of"),
        (
            TWO,
            "0,7",
            None,
            "warn",
            "trains on gpu0 because of CUDA_VISIBLE_DEVICES = '0,7'; CUDA_VISIBLE_DEVICES =",
        ),
        (
            TWO,
            "-1",
            None,
            "warn",
            "trains on cpu because of CUDA_VISIBLE_DEVICES = '-1'; training runs on the CPU",
        ),
        (TWO, "7", None, "fail", "names none of the GPUs here: 0 (GPU-aa), 1 (GPU-bb)"),
        ([], "0", None, "fail", "there is no usable GPU: no driver, though CUDA_VISIBLE_DEVICES = '0'"),
        (MIG, None, None, "ok", "trains on gpu100, gpu101"),
        (MIG, "MIG-2", None, "ok", "trains on gpu101 because of"),
        (MIG[:1], None, None, "fail", "it is in MIG mode: only its instances can compute"),
        (MIXED, None, None, "ok", "CUDA puts the fastest first"),
        (MIXED, "0", None, "warn", "trimtab numbers them like nvidia-smi"),
        (MIXED, "0", "FASTEST_FIRST", "warn", "trimtab numbers them like nvidia-smi"),
        (MIXED, "GPU-bb", None, "ok", "trains on gpu1"),
    ],
)
def test_the_devices_of_a_study_here(monkeypatch, cards, visible, order, level, words):
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    (found,) = find_used_devices(cards, "no driver")
    assert (found.level, found.name) == (level, "devices") and words in found.found, found
    assert level == "ok" or found.fix


def test_nothing_is_said_where_there_is_nothing_to_choose(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_used_devices([], "no driver") == []
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert "fastest" not in find_used_devices(MIXED, "")[0].found
