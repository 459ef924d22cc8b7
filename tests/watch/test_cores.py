"""The CPUs that this process may use: affinity and control groups, from files as the kernel writes them."""

from __future__ import annotations

import os

import pytest

from core import cpu_count
from core.cpu_count import Cpus


@pytest.fixture
def machine(tmp_path):
    """The quota on a machine with these lines in /proc/self/cgroup and these files below /sys/fs/cgroup."""

    def quota(cgroup: str, files: dict[str, str]) -> float | None:
        for name, text in {
            "proc/self/cgroup": cgroup,
            **{f"sys/fs/cgroup/{at}": files[at] for at in files},
        }.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return cpu_count.read_quota(tmp_path)

    return quota


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


def test_version_2_takes_the_least_on_the_way_up(machine):
    files = {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n", "a/b/c/cpu.max": "75000 50000\n"}
    assert machine("0::/a/b/c\n", files) == 1.5
    assert machine("0::/a/b\n", files) == 4.0


def test_a_container_sees_its_own_group_at_the_mount(machine):
    assert machine("0::/\n", {"cpu.max": "250000 100000\n"}) == 2.5
    assert machine("0::/docker/a1b2\n", {}) == 2.5, "a path of the host's that is not there"
    assert machine("0::/../../other\n", {}) == 2.5, "a group outside of the namespace"


def test_version_1_and_both_at_once(machine):
    lines = "9:name=systemd:/\n4:memory:/m\n3:cpu,cpuacct:/a\n2:cpuset:/\n0::/u\n"
    assert machine(lines, {**v1("cpu,cpuacct/a", -1), **v1("cpu,cpuacct", 300_000)}) == 3.0
    assert machine(lines, v1("cpu/a", 150_000)) == 1.5
    assert machine(lines, {"unified/u/cpu.max": "100000 100000"}) == 1.0


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense", "0 100000", "100000 0", "100000", "-5 10"])
def test_no_limit_and_nonsense_are_no_limit(machine, text):
    assert machine("0::/\nnonsense\n\n", {"cpu.max": text}) is None


def test_without_any_file_there_is_no_limit(tmp_path):
    assert cpu_count.read_quota(tmp_path) is None
    assert cpu_count.count_cpus(tmp_path).usable == cpu_count.count_cpus(tmp_path).allowed


def test_the_affinity_of_this_process_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert cpu_count.count_cpus(tmp_path).allowed == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cpu_count.count_cpus(tmp_path) == Cpus(os.cpu_count(), os.cpu_count())


@pytest.mark.parametrize(
    ("found", "usable", "words"),
    [
        (Cpus(2, 2), 2, "2 CPUs usable (of 2)"),
        (Cpus(64, 8), 8, "8 CPUs usable (of 64: affinity 8)"),
        (Cpus(64, 8, 1.5), 2, "2 CPUs usable (of 64: affinity 8, cgroup quota 1.5)"),
        (Cpus(4, 4, 0.25), 1, "1 CPU usable (of 4: cgroup quota 0.25)"),
        (Cpus(4, 2, 16.0), 2, "2 CPUs usable (of 4: affinity 2)"),
    ],
)
def test_the_smaller_one_counts_and_what_limits_is_named(found, usable, words):
    assert (found.usable, found.describe()) == (usable, words)


def test_workers_share_and_none_has_less_than_one():
    assert [cpu_count.share_cpus(workers, Cpus(4, 4)) for workers in (0, 1, 2, 3, 9)] == [4, 4, 2, 1, 1]


def test_the_study_then_the_user_then_the_share_decides():
    assert cpu_count.choose_threads(6, 2, {"OMP_NUM_THREADS": "3", cpu_count.THREADS: "1"}) == 6
    assert cpu_count.choose_threads(None, 3, {"OMP_NUM_THREADS": "3", cpu_count.THREADS: "1"}) == 3
    assert cpu_count.choose_threads(None, 4, {cpu_count.THREADS: "2"}) == 2
    assert cpu_count.choose_threads(None, 4, {cpu_count.THREADS: "16"}) == 4, (
        "torch's default: the physical cores"
    )
    assert cpu_count.choose_threads(None, 10_000, {cpu_count.THREADS: "x"}) == cpu_count.count_cpus().usable
