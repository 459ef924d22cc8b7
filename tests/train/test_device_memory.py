"""Memory is read once a round, with one call of the allocator."""

from __future__ import annotations

import pytest
import torch

from core.contract.events import event_types as e
from core.train.step import device_memory

CUDA = torch.device("cuda:0")


@pytest.fixture
def reads(monkeypatch):
    """The allocator's statistics of a GPU; each reading is counted."""
    calls: list[torch.device] = []

    def statistics(device):
        calls.append(device)
        return {"allocated_bytes": {"all": {"current": 100 + len(calls), "peak": 500}}}

    monkeypatch.setattr(torch.cuda, "memory_stats_as_nested_dict", statistics)
    return calls


def test_the_trials_of_a_round_share_one_reading(reads):
    with device_memory.share_readings():
        first, second = device_memory.read_metrics(CUDA), device_memory.read_metrics(CUDA)
    assert first == second == {"memory/used_bytes": 101.0, "memory/peak_bytes": 500.0}
    assert len(reads) == 1
    assert device_memory.read_metrics(CUDA)["memory/used_bytes"] == 102.0, "outside of a round it is anew"


def test_a_device_that_was_not_used_yet_uses_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_stats_as_nested_dict", lambda device: {})
    assert device_memory.read_metrics(CUDA) == {"memory/used_bytes": 0.0, "memory/peak_bytes": 0.0}


def test_a_pack_reads_memory_once_a_round(bench, tmp_path, monkeypatch):
    one = bench()
    for number in range(3):
        one.assign(tmp_path, number)
    one.turn()
    calls, real = [], device_memory._read_metrics
    monkeypatch.setattr(device_memory, "_read_metrics", lambda device: calls.append(device) or real(device))
    before = len(one.of(e.TrialReported))
    one.turn()
    assert (
        len(calls) == 1 and len([event for event in one.told if isinstance(event, e.TrialReported)]) > before
    )
