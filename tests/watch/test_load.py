"""Who uses the CPUs: from two readings, and from the kernel's file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.cpu_count import Cpus
from core.watch import cpu_load
from core.watch.cpu_load import Load, Process, Reading


def readings(busy_s: float, **used_s: float) -> tuple[Reading, Reading]:
    """Half a second apart; "ours" are trimtab's."""
    keys = {name: (number, 1.0) for number, name in enumerate(used_s)}
    before = {key: Process(name, 5.0, name == "ours") for name, key in keys.items()}
    after = {key: Process(name, 5.0 + used_s[name], name == "ours") for name, key in keys.items()}
    return Reading(10.0, 100.0, before), Reading(10.5, 100.0 + busy_s, after)


def test_the_cpus_time_is_trimtabs_or_that_of_others():
    found = cpu_load.average_load(*readings(1.0, ours=0.25, stress=0.5, bash=0.0), waited=0.2)
    assert found == Load(ours=0.5, others=1.5, waited=0.2, heaviest="stress")


def test_a_process_that_uses_next_to_nothing_is_not_named():
    assert cpu_load.average_load(*readings(0.0, ours=0.0, bash=0.01), waited=None) == Load(0.0, 0.0)


def test_a_process_that_came_between_the_readings_counts_with_the_others():
    before, after = readings(0.5, ours=0.0)
    after = Reading(after.at, after.busy_s, {**after.processes, (9, 2.0): Process("new", 3.0, False)})
    assert cpu_load.average_load(before, after, None) == Load(0.0, 1.0)


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (["python", "-P", "-m", "core.train.commands.worker", "/s", "w", "cpu"], True),
        (["python", "-P", "-m", "core.daemon"], True),
        (["python", "-m", "pytest"], False),
        (["vi", "core.train"], False),
        (["python", "-m"], False),
        ([], False),
    ],
)
def test_trimtabs_processes_are_known_by_their_module(command, ours):
    assert cpu_load.is_ours(command) is ours


def test_a_real_reading_knows_this_machines_processes():
    program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as child:
        found = cpu_load.take_reading()
        assert found.busy_s > 0
        assert child.pid in {pid for pid, _ in found.processes}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("some avg10=12.50 avg60=1.75 avg300=26.39 total=3\nfull avg10=0.00 avg60=0.00\n", 0.125),
        ("", None),
        ("full avg10=1.00\n", None),
        ("some nonsense\n", None),
        (None, None),
    ],
)
def test_pressure_as_the_kernel_writes_it(tmp_path, text, share):
    if text is not None:
        (tmp_path / "proc/pressure").mkdir(parents=True)
        (tmp_path / "proc/pressure/cpu").write_text(text)
    assert cpu_load.read_pressure(tmp_path) == share


def test_others_elsewhere_on_the_machine_take_nothing_from_a_small_quota():
    assert cpu_load.are_others_competing(Cpus(2, 2), Load(0.0, 0.6))
    assert not cpu_load.are_others_competing(Cpus(2, 2), Load(2.0, 0.4))
    assert not cpu_load.are_others_competing(Cpus(64, 64, quota=2.0), Load(0.0, 40.0))
    assert cpu_load.are_others_competing(Cpus(64, 64, quota=2.0), Load(0.0, 63.0))


def test_the_threads_that_are_left():
    assert cpu_load.free_threads(Cpus(8, 8), Load(0.0, 3.1)) == 5
    assert cpu_load.free_threads(Cpus(2, 2), Load(0.0, 2.0)) == 1
    assert cpu_load.free_threads(Cpus(64, 64, quota=2.0), Load(0.0, 62.9)) == 1


def test_the_kernels_figure_says_nothing_of_a_part_of_the_machine():
    assert cpu_load.are_tasks_waiting(Cpus(2, 2), Load(2.0, 0.0, 0.9))
    assert not cpu_load.are_tasks_waiting(Cpus(2, 2), Load(2.0, 0.0, None))
    assert not cpu_load.are_tasks_waiting(Cpus(8, 2), Load(2.0, 0.0, 0.9))
    assert not cpu_load.are_tasks_waiting(Cpus(8, 8, quota=2.0), Load(2.0, 0.0, 0.9))
