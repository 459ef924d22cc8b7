"""A checkpoint's tensors are copied as they are at that moment, and read only once they have arrived."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from core.train import checkpoint_files, checkpoint_tensor_copies
from core.train.adapters.lora_factors import Factors
from core.train.base.factor_matrix_layout import Layout, Place
from core.train.checkpoint_tensor_copies import PINNED_BYTES, HostCopies
from core.train.training_position import Position

CPU = torch.device("cpu")


@pytest.fixture
def factors():
    layout = Layout([Place(0, "q", 6, 4), Place(1, "v", 5, 3)])
    made = Factors(layout, 2, 4.0, 0.0, 1, CPU)
    made.matrix.copy_(torch.arange(made.matrix.numel()).view_as(made.matrix))
    return made


def test_later_steps_do_not_reach_a_copy(factors):
    before = {name: view.clone() for name, view in factors.named_factors()}
    named, copies = factors.copy_to_host({"moment": factors.matrix})
    factors.matrix.zero_()
    copies.wait()
    assert all(torch.equal(named[name], value) for name, value in before.items())
    assert copies.tensors["moment"].any()


def test_a_matrix_copied_whole_gives_the_same_file_as_its_factors_one_by_one(factors, tmp_path):
    views = dict(factors.named_views(factors.matrix.clone()))
    for name, adapter in (("whole", views), ("cut", factors.copy_to_host()[0])):
        checkpoint_files.write(tmp_path / name, Position(1, 1), checkpoint_files.Snapshot(adapter, {}, {}))
    whole, cut = (next((tmp_path / name).rglob("adapter.safetensors")) for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


def test_a_copy_that_is_still_under_way_is_waited_for_before_it_is_written(factors, tmp_path):
    late = torch.zeros_like(factors.matrix)
    snapshot = checkpoint_files.Snapshot(
        dict(factors.named_views(late)), {"late": late}, {}, lambda: late.copy_(factors.matrix)
    )
    folder = checkpoint_files.write(tmp_path, Position(1, 1), snapshot)
    assert torch.equal(load_file(folder / "optimizer.safetensors")["late"], factors.matrix)


class Event:
    """torch.cuda.Event, as far as it is used."""

    made: list[Event] = []

    def __init__(self, blocking: bool) -> None:
        assert blocking, "the writer's thread must not take a CPU from training"
        self.recorded, self.waited = False, False
        self.made.append(self)

    def record(self, stream: object) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        self.waited = True


def on_card(count: int) -> SimpleNamespace:
    """A tensor of ``count`` bytes on a GPU."""
    return SimpleNamespace(
        is_cuda=True, device=torch.device("cuda:0"), numel=lambda: count, element_size=lambda: 1
    )


@pytest.mark.parametrize(("size", "pins"), [(1000, True), (PINNED_BYTES + 1, False)])
def test_copies_from_a_gpu_arrive_later_unless_they_are_too_large_to_pin(monkeypatch, size, pins):
    asked = []
    monkeypatch.setattr(checkpoint_tensor_copies, "_copy", lambda value, pinned: asked.append(pinned))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    Event.made.clear()
    copies = HostCopies({"a": on_card(size), "b": torch.zeros(2)})
    assert asked == [pins, False] and len(Event.made) == pins
    copies.wait()
    assert all(event.recorded and event.waited for event in Event.made)
