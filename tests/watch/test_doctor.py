"""The doctor: every check says what it found, and how to get what is missing."""

from __future__ import annotations

import socket
import sys
from threading import Thread

import pytest

from core.contract.wire.shell_environment import ALLOCATOR, SEGMENTS
from core.cpu_count import Cpus
from core.watch import doctor_checks
from core.watch.cpu_load import Load
from core.watch.library_probe import Probed, probe_libraries
from core.watch.nvml_reader import GpuReader
from tests.watch.fake_nvml import FakeNvml

pytestmark = pytest.mark.xdist_group("doctor")  # one probe for all

QUIET = Load(ours=0.0, others=0.1)
WHOLE = Probed(versions=dict.fromkeys(("torch", "transformers", "peft", "bitsandbytes", "optuna"), "2"))


@pytest.fixture(scope="module")
def probed() -> Probed:
    return probe_libraries()  # the real libraries: it takes seconds


@pytest.fixture
def examine(monkeypatch):
    def run(home, nvml, found=WHOLE, load=QUIET):
        monkeypatch.setattr(doctor_checks, "probe_libraries", lambda: found)
        monkeypatch.setattr(doctor_checks.cpu_load, "measure_now", lambda: (Cpus(2, 2), load))
        return {one.name: one for one in doctor_checks.examine(home, GpuReader(nvml))}

    return run


def test_the_probe_finds_the_libraries_and_brings_no_torch_here(probed):
    assert set(probed.versions) >= {"torch", "transformers", "peft", "bitsandbytes", "optuna"}
    assert (probed.missing, probed.absent, probed.problem, probed.quantisation) == ({}, (), "", "")


def test_a_machine_without_a_gpu_is_usable(tmp_path, examine):
    tmp_path.chmod(0o700)
    found = examine(tmp_path, FakeNvml(0))
    assert found["gpu"].level == "warn" and "nvidia-smi" in found["gpu"].fix
    assert found["home"] == doctor_checks.Finding("home", "ok", f"{tmp_path} is private and writable")
    assert found["engine"].found == "not running; it starts with the first study"
    assert not [one for one in found.values() if one.level == "fail" and one.name != "disk"]
    assert all(one.fix for one in found.values() if one.level != "ok")


def test_cards_that_torch_does_not_see_are_a_failure(tmp_path, examine):
    nvml = FakeNvml()
    nvml.lost.add(3)
    found = examine(tmp_path, nvml, Probed(versions={"torch": "2"}))
    assert found["gpu 0"].level == "ok" and found["gpu 0"].found.endswith(", 80 GiB")
    assert found["gpu 3"].level == "fail" and found["gpu 3"].found == "GPU is lost"
    assert found["cuda"].level == "fail" and "built for the CPU" in found["cuda"].fix


def test_missing_libraries_name_their_install(tmp_path, examine):
    found = examine(tmp_path, FakeNvml(0), Probed(missing={"peft": "no module"}, quantisation="no kernel"))
    assert (found["peft"].level, found["peft"].fix) == ("fail", "pip install peft")
    assert found["bitsandbytes"].level == "warn" and "no kernel" in found["bitsandbytes"].found
    assert examine(tmp_path, FakeNvml(0), Probed(problem="killed"))["torch"].level == "fail"


def test_an_installation_without_the_trainer_is_told_how_to_get_it_and_is_no_failure(tmp_path, examine):
    lean = Probed(
        versions={"optuna": "5"}, absent=("torch", "peft"), problem="torch does not load: no module"
    )
    checked = examine(tmp_path, FakeNvml(0), lean)
    assert (checked["trainer"].level, checked["trainer"].found) == ("warn", "not installed: torch, peft")
    assert "pip install 'trimtab[train]'" in checked["trainer"].fix
    assert not {"torch", "peft", "cuda", "bitsandbytes"} & set(checked)


def test_a_trainer_that_lacks_a_library_is_a_failure(tmp_path, examine):
    checked = examine(tmp_path, FakeNvml(0), Probed(versions={"torch": "2"}, absent=("peft",)))
    assert (checked["peft"].level, checked["peft"].fix) == ("fail", "pip install 'trimtab[train]'")


@pytest.mark.parametrize(
    ("mode", "level", "text"), [(0o755, "warn", "has mode 0755"), (0o700, "ok", "private")]
)
def test_the_homes_mode(tmp_path, examine, mode, level, text):
    tmp_path.chmod(mode)
    finding = examine(tmp_path, FakeNvml(0))["home"]
    assert finding.level == level and text in finding.found


def test_a_home_that_is_a_link_or_not_made(tmp_path, examine):
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert examine(link, FakeNvml(0))["home"].level == "fail"
    assert "will be created" in examine(tmp_path / "new", FakeNvml(0))["home"].found


def answer_once(line: socket.socket) -> None:
    with line.accept()[0] as asking:
        asking.recv(4096)
        asking.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"pid": 12}')


def test_a_socket_that_a_dead_engine_left(tmp_path, examine):
    address = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(address))
        line.listen()
        Thread(target=answer_once, args=(line,), daemon=True).start()
        found = examine(tmp_path, FakeNvml(0))["engine"].found
        assert found == f"running (process 12), answers at {address}"
    finding = examine(tmp_path, FakeNvml(0))["engine"]
    assert finding.level == "warn" and "no engine answers" in finding.found


def test_a_quiet_machine_says_how_many_cpus_there_are(tmp_path, examine):
    finding = examine(tmp_path, FakeNvml(0), load=Load(1.9, 0.1, 0.05))["cpus"]
    assert (finding.level, finding.fix) == ("ok", "")  # trimtab's own work is no fault
    figures = "in use now: 0.1 by others, 1.9 by trimtab; some task waited for a CPU in 5% of the last 10 s"
    assert finding.found == f"2 CPUs usable (of 2); {figures}"


def test_others_that_hold_the_cpus_are_named(tmp_path, examine):
    finding = examine(tmp_path, FakeNvml(0), load=Load(0.0, 1.2, 0.3, "stress, pid 12"))["cpus"]
    assert finding.level == "warn" and finding.found.startswith(
        "oversubscribed: 2 CPUs usable (of 2); in use"
    )
    assert "(most: stress, pid 12)" in finding.fix and finding.fix.endswith("resources.threads = 1")


def test_tasks_that_wait_for_a_cpu_though_others_use_little(tmp_path, examine):
    finding = examine(tmp_path, FakeNvml(0), load=Load(1.9, 0.1, 0.8))["cpus"]
    assert finding.level == "warn" and "80% of the last 10 s" in finding.found
    assert "fewer studies" in finding.fix


def test_terminals(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLORTERM", "")
    for term, level in (("dumb", "warn"), ("vt100", "warn"), ("xterm-256color", "ok")):
        monkeypatch.setenv("TERM", term)
        assert doctor_checks._check_terminal().level == level
    monkeypatch.setenv("LINES", "20")
    assert "at least 80×24" in doctor_checks._check_terminal().fix


def test_the_settings_of_the_allocator_are_shown_and_whose_they_are(tmp_path, examine, monkeypatch):
    for name in ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    seen = Probed(versions={"torch": "2"}, cuda="CUDA 13: a card")
    found = examine(tmp_path, FakeNvml(), seen)["cuda"].found
    assert found == f"CUDA 13: a card; workers allocate with {SEGMENTS}"
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128")
    found = examine(tmp_path, FakeNvml(), seen)["cuda"].found
    assert "as your PYTORCH_CUDA_ALLOC_CONF = 'max_split_size_mb:128' says" in found


def test_no_remedy_asks_the_package_index_for_trimtab_itself(monkeypatch):
    """It is not there: pip finds the installed one for an extra, but not for ``--force-reinstall``."""
    broken = Probed(problem="libtorch.so: cannot open shared object file")
    monkeypatch.setattr(doctor_checks, "probe_libraries", lambda: broken)
    (finding,) = doctor_checks._check_libraries(gpu=False)
    assert "--force-reinstall" in finding.fix and "trimtab" not in finding.fix
