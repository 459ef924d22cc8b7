"""What a worker is told of threads: how long they spin, and how many CPUs are its own."""

import json

import pytest

from core import cpu_count
from core.cpu_count import Cpus
from core.daemon.placement.study_device_choice import CPU, Slot
from core.daemon.workers.worker_pool import SPIN_COUNT, SPIN_SETTINGS, WorkerPool
from core.store import run_folder

pytestmark = pytest.mark.real
CARD = Slot("gpu0", "cuda:0", "GPU-1")


@pytest.fixture
async def crew(tmp_path, monkeypatch):
    """Starts real processes; their exits are not told, so that each counts as living."""
    for name in (*SPIN_SETTINGS, "OMP_NUM_THREADS", cpu_count.THREADS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpu_count, "count_cpus", lambda: Cpus(8, 8, quota=3.5))
    monkeypatch.setattr(WorkerPool, "_note_exit", lambda self, worker: None)
    some = WorkerPool(tmp_path / "socket", lambda worker, why: None)
    yield some
    for worker in list(some.workers.values()):
        some.give_up(worker, "the test is over")


@pytest.fixture
def environment(crew, tmp_path):
    """That of a worker started now on ``slot``."""

    def start(slot: Slot = CPU) -> dict[str, str]:
        run_folder.worker_log(tmp_path, "any").parent.mkdir(exist_ok=True)
        worker = crew.start("s", tmp_path, slot, 60.0, "tests.daemon.environment_worker")
        assert worker.process.wait() == 0
        return json.loads(run_folder.worker_log(tmp_path, worker.name).read_text())

    return start


async def test_a_worker_spins_a_bounded_time(environment):
    found = environment()
    assert found["GOMP_SPINCOUNT"] == str(SPIN_COUNT)
    assert "OMP_WAIT_POLICY" not in found and "OMP_NUM_THREADS" not in found


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "77"), ("OMP_WAIT_POLICY", "PASSIVE"), ("KMP_BLOCKTIME", "0")]
)
async def test_what_the_user_set_stays(environment, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    found = environment()
    assert found[name] == value
    assert [spin_setting for spin_setting in SPIN_SETTINGS if spin_setting in found] == [name]


async def test_workers_on_the_cpu_share_what_quota_and_affinity_leave(environment, crew):
    assert environment()[cpu_count.THREADS] == "4"
    assert environment(CARD)[cpu_count.THREADS] == "4"  # it waits for its card most of the time
    assert environment()[cpu_count.THREADS] == "2"
    for worker in crew.workers.values():
        worker.leaving = True
    assert environment()[cpu_count.THREADS] == "4"


async def test_a_worker_has_the_environment_of_its_study(tmp_path):
    some = WorkerPool(
        tmp_path / "socket", lambda worker, why: None, {"s": {"HF_HUB_OFFLINE": "1"}}.__getitem__
    )
    found = some._make_environment(CARD, some._of_study("s"))
    assert found["HF_HUB_OFFLINE"] == "1" and found["CUDA_VISIBLE_DEVICES"] == CARD.visible
    assert "HOME" not in found
