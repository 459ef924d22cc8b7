"""The type that a base computes in on each device, and the one that it cannot be trained in."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import torch

from core.contract.events.event_types import Device as Card
from core.contract.spec.study_spec import ModelOptions
from core.errors import SpecError
from core.memory.base.untrainable_precision_check import refuse_untrainable
from core.memory.estimate import device_constants
from core.memory.estimate.device_constants import AMPERE
from core.memory.estimate.pack_memory_estimate import Setting, estimate_memory
from core.memory.estimate.trial_tensor_sizes import Need
from core.train.base import base_model
from core.train.commands.worker import Worker
from core.train.kernels import float32_products
from tests.advise.cases import case

CUDA = torch.device("cuda")


def old_card(including_emulation: bool = True) -> bool:
    """torch.cuda.is_bf16_supported on a card before Ampere, which emulates bfloat16."""
    return including_emulation


def test_a_card_that_only_emulates_bfloat16_computes_in_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", old_card)
    assert base_model.compute_type(CUDA) == "fp32"
    config = base_model._make_quantization("nf4", ModelOptions(base="b"), CUDA)
    assert config.bnb_4bit_compute_dtype == torch.float32


def test_a_card_with_bfloat16_computes_in_it_and_the_cpu_in_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert base_model.compute_type(CUDA) == "bf16"
    assert base_model.compute_type(torch.device("cpu")) == "fp32"


def test_fp16_is_refused_before_anything_is_loaded(study, tmp_path):
    spec = study(model={"precision": "fp16"})
    with pytest.raises(SpecError, match=r"cannot be trained on a base in fp16.*overflow") as raised:
        refuse_untrainable(spec, "study.toml")
    assert "'nf4', which computes in fp32 there" in raised.value.problems[0].fix
    with pytest.raises(SpecError, match="fp16"):
        Worker(spec, tmp_path / "socket", "w", "cpu")._load()
    for precision in ("auto", "fp32", "bf16", "nf4", "int8"):
        refuse_untrainable(study(model={"precision": precision}), "study.toml")


@pytest.mark.parametrize(("capability", "computes"), [((7, 5), "fp32"), (AMPERE, "bf16"), (None, "bf16")])
def test_the_memory_estimate_knows_in_which_type_a_card_computes(tmp_path, capability, computes):
    model = case(tmp_path).base.model
    card = device_constants.make_card(Card(0, "a card", total_bytes=16 << 30, capability=capability))
    need, setting = Need(8, 4, 128), Setting("auto")
    explicit = replace(setting, precision=computes)
    assert estimate_memory(model, setting, [need], card) == estimate_memory(model, explicit, [need], card)
    new = msgspec.structs.replace(card, bf16=True)
    packed = Setting("nf4")
    larger = estimate_memory(model, packed, [need], card).peak_bytes
    assert (larger > estimate_memory(model, packed, [need], new).peak_bytes) == (computes == "fp32")


@pytest.fixture
def exact():
    """The state of a new process."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def test_a_base_in_fp32_is_multiplied_exactly_on_a_gpu_unless_the_study_says_tf32(exact, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    note = float32_products.choose_products(CUDA, torch.float32, tf32=False)
    assert not torch.backends.cuda.matmul.allow_tf32 and "model.tf32 = true" in note
    assert float32_products.choose_products(CUDA, torch.float32, tf32=True) == ""
    assert torch.backends.cuda.matmul.allow_tf32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert float32_products.choose_products(CUDA, torch.float32, tf32=False) == "", "it has no TF32"


def test_tf32_changes_neither_other_bases_nor_a_cpu(exact):
    a, b = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(1)).unbind()
    before = a @ b
    for device, dtype in ((CUDA, torch.bfloat16), (torch.device("cpu"), torch.float32)):
        assert float32_products.choose_products(device, dtype, tf32=True) == ""
        assert not torch.backends.cuda.matmul.allow_tf32
    float32_products.choose_products(CUDA, torch.float32, tf32=True)
    assert torch.equal(a @ b, before) and torch.backends.mkldnn.matmul.fp32_precision in ("none", "ieee")
