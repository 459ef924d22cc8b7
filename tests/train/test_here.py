"""Which device `generate` computes on, said where somebody would not expect it."""

from __future__ import annotations

import pytest
import torch

from core.train.commands import command_device


@pytest.mark.parametrize(
    ("wanted", "visible", "there", "kind", "words"),
    [
        ("auto", None, True, "cuda", "on A Card"),
        ("cpu", None, True, "cpu", "on the CPU: resources.devices = 'cpu'"),
        ("auto", None, False, "cpu", "on the CPU: torch sees no GPU"),
        ("auto", "-1", False, "cpu", "on the CPU: CUDA_VISIBLE_DEVICES = '-1' hides all GPUs"),
        ("all", "", False, "cpu", "on the CPU: CUDA_VISIBLE_DEVICES = '' hides all GPUs"),
        ("auto", "3", False, "cpu", "though CUDA_VISIBLE_DEVICES = '3': torch sees no GPU; `trimtab doctor`"),
        ([1], None, False, "cpu", "though resources.devices = [1]: torch sees no GPU"),
        ("all", None, False, "cpu", "though resources.devices = 'all': torch sees no GPU"),
    ],
)
def test_the_device_and_the_word_on_it(monkeypatch, wanted, visible, there, kind, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A \x1bCard")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    device, told = command_device.choose_device(wanted)
    assert device.type == kind and words in told.replace("\ufffd", "") and "\x1b" not in told
