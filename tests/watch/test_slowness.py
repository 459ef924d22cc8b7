"""Why a trial is slow is said in words with the figures, the costliest reason first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.contract.events.machine_reading import Device, Host, Process, Worker
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series, add_all
from core.watch.slowness import GIB, Circumstances, describe_speed, explain, gather
from tests.daemon.packs import pack

HEALTHY = Device(
    0, "H100", utilisation=0.97, power_w=350.0, power_limit_w=700.0, temperature_c=61.0, clock_mhz=1950,
    clock_limit_mhz=1980, slowed_by=(), pcie_link=(5, 16), pcie_link_limit=(5, 16),
    pcie_sent_bytes_s=10_000_000, pcie_received_bytes_s=0, processes=(Process(7, "python", "me", 30 * GIB),),
)  # fmt: skip


def card(**changed) -> Device:
    return replace(HEALTHY, **changed)


def kinds(known: Circumstances) -> list[str]:
    return [reason.kind for reason in explain(known)]


OWN = frozenset({7})


def test_a_busy_card_of_its_own_has_no_reason():
    assert explain(Circumstances(HEALTHY, Host(cpu=0.3, cores=8), Worker("w", 7, "gpu0", cpu=0.9), OWN)) == ()


def test_nothing_measured_is_no_reason():
    assert explain(Circumstances()) == () and describe_speed(Circumstances()) == ""
    assert explain(Circumstances(Device(0, "card"))) == ()


def test_a_hot_card_says_how_hot_and_how_far_its_clock_is_down():
    (reason,) = explain(
        Circumstances(card(slowed_by=("sw-thermal",), temperature_c=88.0, clock_mhz=990), own_pids=OWN)
    )
    assert reason.sentence == "too hot: the driver lowers its clock, 88 °C, clock 990 of 1980 MHz (50% below)"
    assert (reason.kind, reason.cost) == ("throttled", 0.5) and reason.figures["temperature_c"] == 88.0


def test_a_power_limit_says_the_watts():
    (reason,) = explain(
        Circumstances(card(slowed_by=("power-cap",), power_w=699.0, clock_mhz=1584), own_pids=OWN)
    )
    assert reason.sentence == "power limit reached, 699 of 700 W, clock 1584 of 1980 MHz (20% below)"


@pytest.mark.parametrize("reason", ["idle", "clocks-set", "sync-boost"])
def test_a_clock_that_is_low_on_purpose_is_no_throttling(reason):
    assert explain(Circumstances(card(slowed_by=(reason,), clock_mhz=400), own_pids=OWN)) == ()


def test_a_card_that_waits_for_the_host_says_so_with_the_cores():
    slow = card(utilisation=0.35)
    known = Circumstances(slow, Host(cpu=0.2, cores=16), Worker("w", 7, "gpu0", cpu=1.0), OWN)
    (reason,) = explain(known)
    assert reason.kind == "host" and reason.cost == pytest.approx(0.65)
    assert reason.sentence.startswith(
        "the card is busy 35% of the time while its worker fills a core of the host"
    )
    (reason,) = explain(Circumstances(slow, Host(cpu=0.98, cores=16), None, OWN))
    assert "all 16 cores of the host are busy (98%)" in reason.sentence
    assert kinds(Circumstances(slow, Host(cpu=0.2, cores=16), Worker("w", 7, "gpu0", cpu=0.1), OWN)) == []


def test_on_the_cpu_other_programs_are_told():
    worker = Worker("cpu-1", 7, "cpu", cpu=1.1)
    (reason,) = explain(Circumstances(None, Host(cpu=0.97, cores=2), worker))
    assert reason.sentence == "all 2 cores of the host are busy (97%), 0.8 of them with other programs"
    assert kinds(Circumstances(None, Host(cpu=0.97, cores=2), Worker("cpu-1", 7, "cpu", cpu=1.9))) == []


def test_the_memory_of_others_is_named():
    others = (Process(7, "python", "me", GIB), Process(8, "vllm", "ann", 20 * GIB), Process(9, "", "", None))
    (reason,) = explain(Circumstances(card(processes=others), own_pids=OWN))
    assert reason.sentence == (
        "2 other processes on this card: vllm ann, pid 9, 20.0 GiB; the card is 97% busy with all of them"
    )


def test_the_computing_of_others_is_what_they_cost():
    others = (Process(7, "python", "me", GIB, 0.5), Process(8, "vllm", "ann", 20 * GIB, 0.4))
    (reason,) = explain(Circumstances(card(processes=others), own_pids=OWN))
    assert reason.sentence.endswith("vllm ann, 20.0 GiB; they compute 40% of its time") and reason.cost == 0.4


def test_a_full_link_is_told_and_a_narrow_one_that_is_not_used_is_not():
    narrow = card(pcie_link=(3, 4))
    assert kinds(Circumstances(narrow, own_pids=OWN)) == []
    (reason,) = explain(
        Circumstances(card(pcie_link=(3, 4), pcie_received_bytes_s=3_500_000_000), own_pids=OWN)
    )
    assert reason.sentence == "copies fill 89% of the link to the host (PCIe 3.0 x4 of 5.0 x16, 3.5 GB/s)"


def test_a_broken_card_comes_first_and_the_costliest_reason_next():
    broken = card(xids=(79,), slowed_by=("hw-thermal",), clock_mhz=990, processes=())
    known = Circumstances(broken, own_pids=OWN, data_wait=0.3, scoring=0.6, padding=0.1)
    assert kinds(known) == ["fault", "scoring", "throttled", "data"]
    assert explain(known)[1].sentence == "scoring takes 60% of the device's time"


@pytest.mark.parametrize(
    "share, sentence, remedy",
    [
        ("data_wait", "training waits for rows 30% of the time", "a core of the host"),
        ("scoring", "scoring takes 30% of the device's time", "evaluate.budget"),
        ("evaluation", "validation takes 30% of the device's time", "evaluate.every"),
        ("padding", "30% of what is computed is padding", "resources.pack"),
    ],
)
def test_a_share_that_a_worker_measured_comes_with_what_helps(share, sentence, remedy):
    (reason,) = explain(Circumstances(**{share: 0.3}))
    assert reason.sentence.startswith(sentence) and remedy in reason.remedy and reason.cost == 0.3
    assert explain(Circumstances(**{share: 0.04})) == ()


def test_what_the_state_knows_of_a_trial_is_gathered():
    speeds = add_all(Series(), list(enumerate([0.0] + [6600.0] * 6 + [4100.0] * 6, 1)))
    trial = s.Trial(3, device="gpu0", worker="gpu0-1", series={"train/tokens_per_s": speeds})
    worker = Worker("gpu0-1", 7, "gpu0", study="s")
    told = pack(worker="gpu0-1", padding=0.4, data_wait=0.1, scoring=0.2, evaluation=0.3)
    study = s.Study("s", packs={"gpu0-1": told})
    known = gather(s.Machine(devices=(HEALTHY,), workers=(worker,)), study, trial)
    assert (known.device, known.worker, known.own_pids) == (HEALTHY, worker, OWN)
    assert (known.padding, known.data_wait, known.scoring, known.evaluation) == (0.4, 0.1, 0.2, 0.3)
    assert describe_speed(known) == "4.1k tokens/s, 38% below its own best (6.6k)"
    assert gather(s.Machine(), s.Study("s"), s.Trial(0, device="cpu")).device is None
